package org.iterqr.opensearch.identity;

import java.io.IOException;
import java.util.UUID;
import java.util.function.Supplier;
import org.iterqr.opensearch.experiment.Experiment;
import org.iterqr.opensearch.ubi.UbiExt;
import org.iterqr.opensearch.ubi.UbiParameters;
import org.opensearch.action.search.SearchRequest;

/**
 * Finds out who searches.
 *
 * @param experiment that runs now
 */
public record IdentityReader(Supplier<Experiment> experiment) {
  /**
   * @param request with {@code ext.ubi} or without
   * @param region market of the user; may be empty
   * @return the identity, with a new query id if the request has none
   * @throws IOException if {@code ext.ubi} of another plugin cannot be read
   */
  public SearchIdentity read(SearchRequest request, String region) throws IOException {
    UbiExt.Found found = UbiExt.find(request);
    UbiParameters ubi = found.parameters();
    if (ubi.queryId().isEmpty()) {
      ubi = ubi.withQueryId(UUID.randomUUID().toString());
    }
    return new SearchIdentity(
        ubi, found.isUbiPlugins(), region, experiment.get().assign(ubi.clientId()));
  }
}
