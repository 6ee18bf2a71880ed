package org.iterqr.opensearch.observe;

import java.util.ArrayList;
import java.util.List;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.outcome.Faults;
import org.opensearch.action.search.SearchResponse;

/**
 * Tells several observers. What one of them throws keeps neither the others nor the search.
 *
 * @param observers in the order they are told
 */
public record SearchObservers(List<SearchObserver> observers) implements SearchObserver {
  private static final Logger logger = LogManager.getLogger(SearchObservers.class);

  @Override
  public void answered(AnsweredSearch search) {
    for (SearchObserver observer : observers) {
      try {
        observer.answered(search);
      } catch (Throwable e) {
        Faults.report(logger, "a search was not observed", e);
      }
    }
  }

  @Override
  public SearchObserver answeredLater(SearchIdentity identity, SearchResponse response) {
    List<SearchObserver> later = new ArrayList<>(observers.size());
    for (SearchObserver observer : observers) {
      try {
        later.add(observer.answeredLater(identity, response));
      } catch (Throwable e) {
        Faults.report(logger, "a search will not be observed", e);
      }
    }
    return new SearchObservers(later);
  }
}
