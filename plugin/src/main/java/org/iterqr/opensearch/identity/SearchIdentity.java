package org.iterqr.opensearch.identity;

import org.iterqr.opensearch.experiment.Assignment;
import org.iterqr.opensearch.ubi.UbiParameters;

/**
 * What ties a search to its user behavior insights. Texts are empty where unknown.
 *
 * @param ubi what the search says of itself; its query id is made up where it has none
 * @param ubiPluginAnswers whether the UBI plugin writes the response's ext section, so that nobody
 *     else may
 * @param region market of the user
 * @param assignment where the search stands in the running experiment
 */
public record SearchIdentity(
    UbiParameters ubi, boolean ubiPluginAnswers, String region, Assignment assignment) {
  /** Where nothing is known. */
  public static final SearchIdentity NONE =
      new SearchIdentity(UbiParameters.NONE, false, "", Assignment.NONE);

  /**
   * @return id of the search; events refer to it
   */
  public String queryId() {
    return ubi.queryId();
  }

  /**
   * @return what the user typed, as the application says
   */
  public String userQuery() {
    return ubi.userQuery();
  }

  /**
   * @return id of the user's device or browser
   */
  public String clientId() {
    return ubi.clientId();
  }

  /**
   * @return the application that searches
   */
  public String application() {
    return ubi.application();
  }
}
