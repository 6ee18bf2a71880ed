package org.iterqr.opensearch.identity;

/**
 * What ties a search to its user behavior insights. Members are empty where unknown.
 *
 * @param queryId of the search; events refer to it
 * @param userQuery what the user typed, as the application says
 * @param clientId of the user's device or browser
 * @param application that searches
 */
public record SearchIdentity(
    String queryId, String userQuery, String clientId, String application) {
  /** Where nothing is known. */
  public static final SearchIdentity NONE = new SearchIdentity("", "", "", "");
}
