package org.iterqr.opensearch.observe;

import org.iterqr.opensearch.identity.SearchIdentity;
import org.opensearch.action.search.SearchResponse;

/**
 * Is told of every answered search, on the thread that answers it: must be quick and never wait.
 */
@FunctionalInterface
public interface SearchObserver {
  /**
   * @param search whose response is about to be sent; it may be read now, but not afterwards, when
   *     it is others' to change
   */
  void answered(AnsweredSearch search);

  /**
   * A response is about to be sent of whose search the observer is told later, when nobody may read
   * the response's hits any more: what is wanted of them is to be read now.
   *
   * @param identity who searched
   * @param response about to be sent
   * @return is told of the search once, in this observer's place, and reads no hit of it
   */
  default SearchObserver answeredLater(SearchIdentity identity, SearchResponse response) {
    return this;
  }
}
