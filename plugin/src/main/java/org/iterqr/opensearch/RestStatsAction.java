package org.iterqr.opensearch;

import java.util.List;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.outcome.OutcomeCounters;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.rest.BaseRestHandler;
import org.opensearch.rest.BytesRestResponse;
import org.opensearch.rest.RestRequest;
import org.opensearch.transport.client.node.NodeClient;

/**
 * {@code GET /_plugins/_iterqr/stats}: how many channel-enabled searches this node has answered
 * since it started, by outcome.
 */
final class RestStatsAction extends BaseRestHandler {
  private final OutcomeCounters counters;

  RestStatsAction(OutcomeCounters counters) {
    this.counters = counters;
  }

  @Override
  public String getName() {
    return "iterqr_stats";
  }

  @Override
  public List<Route> routes() {
    return List.of(new Route(RestRequest.Method.GET, "/_plugins/_iterqr/stats"));
  }

  @Override
  protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
    return channel -> {
      try (XContentBuilder builder = channel.newBuilder()) {
        builder.startObject().field("node_id", client.getLocalNodeId()).startObject("outcomes");
        for (Outcome outcome : Outcome.values()) {
          builder.field(outcome.wireName(), counters.get(outcome));
        }
        builder.endObject().endObject();
        channel.sendResponse(new BytesRestResponse(RestStatus.OK, builder));
      }
    };
  }
}
