package org.iterqr.opensearch.search;

import java.util.Map;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchTask;
import org.opensearch.core.tasks.TaskId;

/** Begins the original search of runs, as a node does, for tests of other packages. */
public final class StartedRuns {
  private StartedRuns() {}

  /**
   * @param run that waits for its search
   * @param request of the search
   */
  public static void start(ChannelRun run, SearchRequest request) {
    run.searchStarted(request, task());
  }

  /** A task as a search has it. */
  static SearchTask task() {
    return new SearchTask(1, "transport", "search", () -> "", TaskId.EMPTY_TASK_ID, Map.of());
  }
}
