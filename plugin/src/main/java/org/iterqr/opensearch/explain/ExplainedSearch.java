package org.iterqr.opensearch.explain;

import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.observe.SearchObserver;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.action.support.ContextPreservingActionListener;
import org.opensearch.common.util.concurrent.ListenableFuture;
import org.opensearch.common.util.concurrent.OpenSearchExecutors;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.core.action.ActionListener;

/**
 * A search that is made in order to be explained. It lies in its own thread context, through which
 * the search's answer finds its way back: nothing is asked of other searches, and no client can
 * make one.
 */
public final class ExplainedSearch {
  private static final String TRANSIENT = "iterqr.explained_search";

  private final AtomicBoolean isAnswered = new AtomicBoolean();
  private final ListenableFuture<AnsweredSearch> answer = new ListenableFuture<>();
  private volatile boolean isAnsweredLater;

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
    return new SearchObserver() {
      @Override
      public void answered(AnsweredSearch search) {
        if (context.get().getTransient(TRANSIENT) instanceof ExplainedSearch explained) {
          explained.answered(search);
        }
      }

      @Override
      public SearchObserver answeredLater(SearchIdentity identity, SearchResponse response) {
        if (context.get().getTransient(TRANSIENT) instanceof ExplainedSearch explained) {
          explained.isAnsweredLater = true;
          return explained::answered;
        }
        return this;
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
   * To be called when the search's response is there.
   *
   * @param context of the node
   * @param listener gets how the channel answered, in its own thread context: at once, or when the
   *     budget of a shadowed search ends at the latest; empty if the search's pipeline has none
   */
  void whenAnswered(ThreadContext context, ActionListener<Optional<AnsweredSearch>> listener) {
    if (!isAnswered.get() && !isAnsweredLater) {
      listener.onResponse(Optional.empty());
      return;
    }
    answer.addListener(
        ContextPreservingActionListener.wrapPreservingContext(
            ActionListener.wrap(
                search -> listener.onResponse(Optional.of(search)), listener::onFailure),
            context),
        OpenSearchExecutors.newDirectExecutorService());
  }

  /** The first answer counts. */
  private void answered(AnsweredSearch search) {
    if (isAnswered.compareAndSet(false, true)) {
      answer.onResponse(search);
    }
  }
}
