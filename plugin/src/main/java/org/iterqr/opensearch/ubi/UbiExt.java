package org.iterqr.opensearch.ubi;

import java.io.IOException;
import java.util.Map;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.common.io.stream.BytesStreamOutput;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.ParsingException;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.xcontent.MediaTypeRegistry;
import org.opensearch.core.xcontent.ToXContent;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.plugins.SearchPlugin.SearchExtSpec;
import org.opensearch.search.SearchExtBuilder;

/**
 * {@code ext.ubi} of a search request where the UBI plugin is not installed. Where it is, the
 * request holds an object of its own class, which is read by what it writes.
 */
public final class UbiExt extends SearchExtBuilder {
  private final UbiParameters parameters;

  /**
   * @param parameters of the search
   */
  public UbiExt(UbiParameters parameters) {
    this.parameters = parameters;
  }

  private UbiExt(StreamInput in) throws IOException {
    this(UbiParameters.lenient(in.readMap()));
  }

  /**
   * What was found in a request.
   *
   * @param parameters of the search
   * @param isUbiPlugins whether the section is the UBI plugin's, which then also answers it
   */
  public record Found(UbiParameters parameters, boolean isUbiPlugins) {
    private static final Found NOTHING = new Found(UbiParameters.NONE, false);
  }

  /**
   * @return what the plugin registers
   */
  public static SearchExtSpec<SearchExtBuilder> spec() {
    return new SearchExtSpec<>(UbiParameters.NAME, UbiExt::new, UbiExt::parse);
  }

  /**
   * @param request any search
   * @return its UBI parameters
   * @throws IOException if another plugin's section has no JSON form
   */
  public static Found find(SearchRequest request) throws IOException {
    if (request.source() == null || request.source().ext() == null) {
      return Found.NOTHING;
    }
    for (SearchExtBuilder ext : request.source().ext()) {
      if (ext instanceof UbiExt ours) {
        return new Found(ours.parameters, false);
      }
      if (UbiParameters.NAME.equals(ext.getWriteableName())) {
        return new Found(foreign(ext), true);
      }
    }
    return Found.NOTHING;
  }

  /**
   * @param parser at the section's value
   * @return the section
   * @throws IOException if it is not JSON
   * @throws ParsingException naming the key that is wrong
   */
  static UbiExt parse(XContentParser parser) throws IOException {
    if (parser.currentToken() == null) {
      parser.nextToken();
    }
    if (parser.currentToken() != XContentParser.Token.START_OBJECT) {
      throw new ParsingException(parser.getTokenLocation(), "[ext.ubi] must be an object");
    }
    try {
      return new UbiExt(UbiParameters.strict(parser.map()));
    } catch (IllegalArgumentException e) {
      throw new ParsingException(parser.getTokenLocation(), e.getMessage(), e);
    }
  }

  /**
   * The UBI plugin makes up a query id when its section is first serialized, and answers with it:
   * so it is serialized now, for nothing else.
   */
  private static UbiParameters foreign(SearchExtBuilder ext) throws IOException {
    UbiParameters parameters = UbiParameters.lenient(section(ext));
    if (!parameters.queryId().isEmpty()) {
      return parameters;
    }
    try (BytesStreamOutput nowhere = new BytesStreamOutput()) {
      ext.writeTo(nowhere);
    }
    return UbiParameters.lenient(section(ext));
  }

  /** The UBI plugin writes its members without the section's name around them. */
  private static Map<String, Object> section(SearchExtBuilder foreign) throws IOException {
    try (XContentBuilder json = JsonXContent.contentBuilder().startObject()) {
      foreign.toXContent(json, ToXContent.EMPTY_PARAMS);
      json.endObject();
      Map<String, Object> written =
          XContentHelper.convertToMap(BytesReference.bytes(json), true, MediaTypeRegistry.JSON)
              .v2();
      return written.get(UbiParameters.NAME) instanceof Map<?, ?> named
          ? stringKeys(named)
          : written;
    }
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> stringKeys(Map<?, ?> parsedJson) {
    return (Map<String, Object>) parsedJson;
  }

  @Override
  public String getWriteableName() {
    return UbiParameters.NAME;
  }

  @Override
  public void writeTo(StreamOutput out) throws IOException {
    out.writeMap(parameters.section());
  }

  @Override
  public XContentBuilder toXContent(XContentBuilder builder, Params params) throws IOException {
    return builder.field(UbiParameters.NAME, parameters.section());
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof UbiExt ext && parameters.equals(ext.parameters);
  }

  @Override
  public int hashCode() {
    return parameters.hashCode();
  }
}
