package org.iterqr.opensearch.impression;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.lucene.util.BytesRef;
import org.opensearch.common.document.DocumentField;
import org.opensearch.common.xcontent.LoggingDeprecationHandler;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.xcontent.MediaType;
import org.opensearch.core.xcontent.MediaTypeRegistry;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.search.SearchHit;

/** The names by which events will refer to hits. */
final class ObjectIds {
  /**
   * Hits of a page that are logged at most, from its top. OpenSearch allows pages of 10,000, and
   * their documents are made by the thread that answers; nobody sees that many.
   */
  static final int MAX_HITS = 1_000;

  private ObjectIds() {}

  /**
   * @param hits of a response
   * @param field that names documents; empty means {@code _id}
   * @return for each of the first {@link #MAX_HITS} hits the field's first value, from its fields
   *     or its source; {@code _id} where the response has no such value
   * @throws IOException if a source cannot be read
   */
  static List<String> of(SearchHit[] hits, String field) throws IOException {
    int logged = Math.min(hits.length, MAX_HITS);
    List<String> ids = new ArrayList<>(logged);
    for (SearchHit hit : Arrays.asList(hits).subList(0, logged)) {
      String value = field.isEmpty() ? null : value(hit, field);
      ids.add(value == null ? hit.getId() : value);
    }
    return ids;
  }

  private static String value(SearchHit hit, String field) throws IOException {
    DocumentField fetched = hit.field(field);
    if (fetched != null && fetched.getValue() != null) {
      return fetched.getValue().toString();
    }
    return hit.hasSource() ? sourceValue(hit.getSourceRef(), field) : null;
  }

  /** Reads no further than the value: sources may be large. Only its bytes tell a source's type. */
  @SuppressWarnings("deprecation")
  private static String sourceValue(BytesReference source, String field) throws IOException {
    BytesRef json = source.toBytesRef();
    MediaType type = MediaTypeRegistry.mediaTypeFromBytes(json.bytes, json.offset, json.length);
    try (XContentParser parser =
        type.xContent()
            .createParser(
                NamedXContentRegistry.EMPTY,
                LoggingDeprecationHandler.INSTANCE,
                json.bytes,
                json.offset,
                json.length)) {
      parser.nextToken();
      return find(parser, field);
    }
  }

  /** The parser is at an object; {@code path} is relative to it, dots between names. */
  private static String find(XContentParser parser, String path) throws IOException {
    while (parser.nextToken() == XContentParser.Token.FIELD_NAME) {
      String name = parser.currentName();
      XContentParser.Token token = parser.nextToken();
      if (name.equals(path)) {
        return first(parser, token);
      }
      if (token == XContentParser.Token.START_OBJECT && path.startsWith(name + ".")) {
        String value = find(parser, path.substring(name.length() + 1));
        if (value != null) {
          return value;
        }
      } else {
        parser.skipChildren();
      }
    }
    return null;
  }

  private static String first(XContentParser parser, XContentParser.Token token)
      throws IOException {
    XContentParser.Token value =
        token == XContentParser.Token.START_ARRAY ? parser.nextToken() : token;
    return value.isValue() && value != XContentParser.Token.VALUE_NULL ? parser.text() : null;
  }
}
