package org.iterqr.opensearch.response;

import java.io.IOException;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.plugins.SearchPlugin.SearchExtSpec;
import org.opensearch.search.SearchExtBuilder;

/** Registers the one name under which both the request's and the response's sections travel. */
public final class IterqrExt {
  /** Name of the section. */
  public static final String NAME = "iterqr";

  static final byte REQUEST = 1;
  static final byte RESPONSE = 2;

  private IterqrExt() {}

  /**
   * @param takesEventTime whether requests may say when they happened
   * @return what the plugin registers
   */
  public static SearchExtSpec<SearchExtBuilder> spec(boolean takesEventTime) {
    return new SearchExtSpec<>(
        NAME, IterqrExt::read, parser -> RequestExt.parse(parser, takesEventTime));
  }

  private static SearchExtBuilder read(StreamInput in) throws IOException {
    byte kind = in.readByte();
    return switch (kind) {
      case REQUEST -> new RequestExt(in);
      case RESPONSE -> new ResponseExt(in);
      default -> throw new IOException("unknown kind of [ext.iterqr]: " + kind);
    };
  }
}
