package org.iterqr.opensearch.impression;

import org.iterqr.opensearch.ubi.UbiIndex;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.core.action.ActionListener;
import org.opensearch.transport.client.Client;

/**
 * UBI's queries, as a log.
 *
 * @param client of the node
 * @param clusterService of the node
 */
public record UbiQueriesIndex(Client client, ClusterService clusterService) implements LogIndex {
  @Override
  public String name() {
    return UbiIndex.QUERIES.index();
  }

  @Override
  public void ensure(ActionListener<Void> listener) {
    if (UbiIndex.QUERIES.exists(clusterService)) {
      listener.onResponse(null);
    } else {
      UbiIndex.QUERIES.create(
          client, ActionListener.wrap(isNew -> listener.onResponse(null), listener::onFailure));
    }
  }
}
