package org.iterqr.opensearch.stats;

import java.util.List;
import org.opensearch.core.common.Strings;
import org.opensearch.rest.BaseRestHandler;
import org.opensearch.rest.RestRequest;
import org.opensearch.rest.action.RestActions;
import org.opensearch.transport.client.node.NodeClient;

/**
 * {@code GET /_plugins/_iterqr/stats} and {@code /_plugins/_iterqr/stats/{nodeId}}: what the nodes
 * have counted since they started, added up and each by itself.
 */
public final class RestStatsAction extends BaseRestHandler {
  private static final String PATH = "/_plugins/_iterqr/stats";

  @Override
  public String getName() {
    return "iterqr_stats";
  }

  @Override
  public List<Route> routes() {
    return List.of(
        new Route(RestRequest.Method.GET, PATH),
        new Route(RestRequest.Method.GET, PATH + "/{nodeId}"));
  }

  @Override
  protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
    StatsRequest stats =
        new StatsRequest(Strings.splitStringByCommaToArray(request.param("nodeId")));
    stats.timeout(request.param("timeout"));
    return channel ->
        client.execute(
            StatsAction.INSTANCE, stats, new RestActions.NodesResponseRestListener<>(channel));
  }
}
