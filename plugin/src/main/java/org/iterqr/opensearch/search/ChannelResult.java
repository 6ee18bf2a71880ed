package org.iterqr.opensearch.search;

import java.util.List;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.query.SearchSource;
import org.iterqr.opensearch.query.UserText;

/** What a {@link ChannelRun} ended with. */
public sealed interface ChannelResult {
  /**
   * The windows, ready to be fused.
   *
   * @param searches makes further searches of the same request
   * @param source of the request, as it was after all request processors
   * @param text what rewrites replace in it
   * @param windows the original's first, then those of the rewrites that could be searched
   */
  record Retrieved(ChildSearches searches, SearchSource source, UserText text, List<Window> windows)
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
