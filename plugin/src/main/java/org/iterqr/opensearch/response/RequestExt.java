package org.iterqr.opensearch.response;

import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.core.common.ParsingException;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.search.SearchExtBuilder;

/**
 * {@code ext.iterqr} of a search request. Members are null where absent.
 *
 * <p>Keys: {@code region} overrides the pipeline's, {@code page_token} comes from a first page,
 * {@code query} is the user's text where the query does not have it as such.
 */
public final class RequestExt extends SearchExtBuilder {
  /** Where no ext was sent. */
  public static final RequestExt NONE = new RequestExt(null, null, null);

  private static final List<String> KEYS = List.of("region", "page_token", "query");

  private final String region;
  private final String pageToken;
  private final String query;

  /**
   * @param region market of the user, or null
   * @param pageToken from a first page, or null
   * @param query the user's text, or null
   */
  public RequestExt(String region, String pageToken, String query) {
    this.region = region;
    this.pageToken = pageToken;
    this.query = query;
  }

  RequestExt(StreamInput in) throws IOException {
    this(in.readOptionalString(), in.readOptionalString(), in.readOptionalString());
  }

  /**
   * @param request any search
   * @return its section, or {@link #NONE}
   */
  public static RequestExt of(SearchRequest request) {
    if (request.source() != null && request.source().ext() != null) {
      for (SearchExtBuilder ext : request.source().ext()) {
        if (ext instanceof RequestExt requestExt) {
          return requestExt;
        }
      }
    }
    return NONE;
  }

  /**
   * @param parser at the section's value
   * @return the section
   * @throws IOException if it is not JSON
   * @throws ParsingException naming an unknown key or a value that is not a string
   */
  static RequestExt parse(XContentParser parser) throws IOException {
    if (parser.currentToken() == null) {
      parser.nextToken();
    }
    if (parser.currentToken() != XContentParser.Token.START_OBJECT) {
      throw new ParsingException(parser.getTokenLocation(), "[ext.iterqr] must be an object");
    }
    Map<String, String> values = new HashMap<>();
    String key = null;
    for (XContentParser.Token token = parser.nextToken();
        token != XContentParser.Token.END_OBJECT;
        token = parser.nextToken()) {
      if (token == XContentParser.Token.FIELD_NAME) {
        key = parser.currentName();
        if (!KEYS.contains(key)) {
          throw new ParsingException(
              parser.getTokenLocation(),
              "[ext.iterqr] has no key [" + key + "]; known are " + KEYS);
        }
      } else if (token == XContentParser.Token.VALUE_STRING) {
        values.put(key, parser.text());
      } else if (token != XContentParser.Token.VALUE_NULL) {
        throw new ParsingException(
            parser.getTokenLocation(), "[ext.iterqr." + key + "] must be a string");
      }
    }
    return new RequestExt(values.get("region"), values.get("page_token"), values.get("query"));
  }

  /**
   * @return market of the user, or null
   */
  public String region() {
    return region;
  }

  /**
   * @return page token as sent, or null
   */
  public String pageToken() {
    return pageToken;
  }

  /**
   * @return the user's text, or null
   */
  public String query() {
    return query;
  }

  @Override
  public String getWriteableName() {
    return IterqrExt.NAME;
  }

  @Override
  public void writeTo(StreamOutput out) throws IOException {
    out.writeByte(IterqrExt.REQUEST);
    out.writeOptionalString(region);
    out.writeOptionalString(pageToken);
    out.writeOptionalString(query);
  }

  @Override
  public XContentBuilder toXContent(XContentBuilder builder, Params params) throws IOException {
    builder.startObject(IterqrExt.NAME);
    if (region != null) {
      builder.field("region", region);
    }
    if (pageToken != null) {
      builder.field("page_token", pageToken);
    }
    if (query != null) {
      builder.field("query", query);
    }
    return builder.endObject();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof RequestExt ext
        && Objects.equals(region, ext.region)
        && Objects.equals(pageToken, ext.pageToken)
        && Objects.equals(query, ext.query);
  }

  @Override
  public int hashCode() {
    return Objects.hash(region, pageToken, query);
  }
}
