package org.iterqr.opensearch.search;

import java.util.List;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.query.Rewriting;
import org.iterqr.opensearch.query.SearchSource;

/** What a {@link ChannelRun} ended with. */
public sealed interface ChannelResult {
  /**
   * The windows, ready to be fused.
   *
   * @param searches makes further searches of the same request
   * @param source of the request, as it was after all request processors
   * @param rewriting how rewrites are searched for
   * @param windows the original's first, then those of the rewrites that could be searched
   */
  record Retrieved(
      ChildSearches searches, SearchSource source, Rewriting rewriting, List<Window> windows)
      implements ChannelResult {}

  /**
   * Mode expand: rewrites for the search's own query.
   *
   * @param reply at least one rewrite
   */
  record Rewritten(RewriteReply reply) implements ChannelResult {}

  /**
   * Nothing to fuse.
   *
   * @param outcome why
   */
  record NotFused(Outcome outcome) implements ChannelResult {}
}
