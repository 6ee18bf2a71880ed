package org.iterqr.opensearch.response;

import java.io.IOException;
import java.util.Map;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.search.SearchExtBuilder;

/** {@code ext.iterqr} of a search response: the query-level facts as a JSON object. */
public final class ResponseExt extends SearchExtBuilder {
  private final Map<String, Object> content;

  /**
   * @param content JSON values only
   */
  public ResponseExt(Map<String, Object> content) {
    this.content = content;
  }

  ResponseExt(StreamInput in) throws IOException {
    this(in.readMap());
  }

  /**
   * @return the section, as JSON values
   */
  public Map<String, Object> content() {
    return content;
  }

  @Override
  public String getWriteableName() {
    return IterqrExt.NAME;
  }

  @Override
  public void writeTo(StreamOutput out) throws IOException {
    out.writeByte(IterqrExt.RESPONSE);
    out.writeMap(content);
  }

  @Override
  public XContentBuilder toXContent(XContentBuilder builder, Params params) throws IOException {
    return builder.field(IterqrExt.NAME, content);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ResponseExt ext && content.equals(ext.content);
  }

  @Override
  public int hashCode() {
    return content.hashCode();
  }
}
