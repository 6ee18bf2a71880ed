package org.iterqr.opensearch.client;

import java.util.Locale;
import org.iterqr.rewrite.v1.Source;

/** Where a search's rewrites came from. */
public enum ReplySource {
  /** The model generated them for this search's call. */
  GENERATED,
  /** The server's cache. */
  SERVER_CACHE,
  /** The server shared a generation that was running for another call. */
  SERVER_COALESCED,
  /** The server did not say. */
  SERVER,
  /** This node's cache; no server was asked. */
  NODE_CACHE,
  /** The call of another search on this node, for the same query at the same time. */
  NODE_COALESCED,
  /** The page token. */
  PAGE_TOKEN;

  private final String wireName = name().toLowerCase(Locale.ROOT);

  /**
   * @return the name in responses, lower snake case
   */
  public String wireName() {
    return wireName;
  }

  static ReplySource of(Source source) {
    return switch (source) {
      case SOURCE_GENERATED -> GENERATED;
      case SOURCE_CACHE -> SERVER_CACHE;
      case SOURCE_COALESCED -> SERVER_COALESCED;
      case SOURCE_UNSPECIFIED, UNRECOGNIZED -> SERVER;
    };
  }
}
