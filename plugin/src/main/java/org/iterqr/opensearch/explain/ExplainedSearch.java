package org.iterqr.opensearch.explain;

import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.observe.SearchObserver;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.common.util.concurrent.ThreadContext;

/**
 * A search that is made in order to be explained. It lies in its own thread context, through which
 * the search's answer finds its way back: nothing is asked of other searches, and no client can
 * make one.
 */
public final class ExplainedSearch {
  private static final String TRANSIENT = "iterqr.explained_search";

  private final AtomicReference<AnsweredSearch> answered = new AtomicReference<>();

  private ExplainedSearch() {}

  /**
   * @param context in which the search is going to run
   * @return the search
   */
  static ExplainedSearch in(ThreadContext context) {
    ExplainedSearch search = new ExplainedSearch();
    context.putTransient(TRANSIENT, search);
    return search;
  }

  /**
   * @param context of the node, where there is one yet
   * @return tells explained searches of their answer
   */
  public static SearchObserver observer(Supplier<ThreadContext> context) {
    return answer -> {
      if (context.get().getTransient(TRANSIENT) instanceof ExplainedSearch search) {
        search.answered.compareAndSet(null, answer);
      }
    };
  }

  /**
   * @param observer of what users saw, where there is one yet
   * @param context of the node, where there is one yet
   * @return the observer, which is not told of explained searches
   */
  public static SearchObserver hiddenFrom(
      Supplier<? extends SearchObserver> observer, Supplier<ThreadContext> context) {
    return new SearchObserver() {
      @Override
      public void answered(AnsweredSearch search) {
        if (!isExplained()) {
          observer.get().answered(search);
        }
      }

      @Override
      public SearchObserver answeredLater(SearchIdentity identity, SearchResponse response) {
        return isExplained() ? search -> {} : observer.get().answeredLater(identity, response);
      }

      private boolean isExplained() {
        return context.get().getTransient(TRANSIENT) != null;
      }
    };
  }

  /**
   * @return how the channel answered; empty if the search's pipeline has none
   */
  Optional<AnsweredSearch> answer() {
    return Optional.ofNullable(answered.get());
  }
}
