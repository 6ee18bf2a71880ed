package org.iterqr.opensearch.search;

import org.opensearch.action.search.SearchRequest;

/** Begins the original search of runs, as a node does, for tests of other packages. */
public final class StartedRuns {
  private StartedRuns() {}

  /**
   * @param run that waits for its search
   * @param request of the search
   */
  public static void start(ChannelRun run, SearchRequest request) {
    run.searchStarted(request, 1);
  }
}
