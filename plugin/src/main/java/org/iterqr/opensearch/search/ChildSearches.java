package org.iterqr.opensearch.search;

import java.io.IOException;
import java.util.Map;
import org.iterqr.opensearch.query.SearchSource;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.tasks.TaskCancelledException;
import org.opensearch.core.tasks.TaskId;

/**
 * Searches on behalf of one search: same indices, routing, options and caller, another source. They
 * are children of its task, so that they are cancelled with it, and end at the budget.
 */
public final class ChildSearches {
  private static final String NO_PIPELINE = "_none";
  private static final long CANCEL_GRACE_MS = 10;

  private final ChannelServices services;
  private final SearchRequest parent;
  private final TaskId parentTask;
  private final Budget budget;
  private final String preference;

  /**
   * @param services of the node
   * @param parent as it is after all request processors
   * @param parentTask its task
   * @param budget when the searches must end
   * @param stickyPreference copies of shards to search where the caller has no wish: the same for
   *     every page, for copies may rank equal scores differently
   */
  ChildSearches(
      ChannelServices services,
      SearchRequest parent,
      TaskId parentTask,
      Budget budget,
      String stickyPreference) {
    this.services = services;
    this.parent = parent;
    this.parentTask = parentTask;
    this.budget = budget;
    this.preference = parent.preference() == null ? stickyPreference : parent.preference();
  }

  /**
   * Starts a search in the current thread context.
   *
   * @param source in map form
   * @param listener gets the response, or why there is none
   */
  void search(Map<String, Object> source, ActionListener<SearchResponse> listener) {
    SearchRequest child;
    try {
      child = new SearchRequest(parent).source(SearchSource.build(source, services.registry()));
    } catch (IOException | RuntimeException e) {
      listener.onFailure(e);
      return;
    }
    // The copy constructor drops the pipeline's name, and an index may have a default pipeline.
    child.pipeline(NO_PIPELINE);
    child.preference(preference);
    child.setParentTask(parentTask);
    // A little after the budget: the answer is then on its way, and this only frees the node.
    child.setCancelAfterTimeInterval(
        TimeValue.timeValueMillis(Math.max(0, budget.remainingMs()) + CANCEL_GRACE_MS));
    try {
      services.client().search(child, listener);
    } catch (TaskCancelledException e) {
      // Thrown at once where the parent has been cancelled: no child of it is registered any more.
      listener.onFailure(e);
    }
  }
}
