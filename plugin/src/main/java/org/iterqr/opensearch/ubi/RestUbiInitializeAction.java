package org.iterqr.opensearch.ubi;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.rest.BaseRestHandler;
import org.opensearch.rest.BytesRestResponse;
import org.opensearch.rest.RestChannel;
import org.opensearch.rest.RestRequest;
import org.opensearch.rest.action.RestBuilderListener;
import org.opensearch.transport.client.node.NodeClient;

/**
 * {@code POST /_plugins/_iterqr/ubi/initialize}: makes the indices of UBI 1.3.0 that are not there,
 * with the caller's rights, and tells of each whether it was made now.
 */
public final class RestUbiInitializeAction extends BaseRestHandler {
  @Override
  public String getName() {
    return "iterqr_ubi_initialize";
  }

  @Override
  public List<Route> routes() {
    return List.of(new Route(RestRequest.Method.POST, "/_plugins/_iterqr/ubi/initialize"));
  }

  @Override
  protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
    return channel ->
        create(List.of(UbiIndex.values()), new LinkedHashMap<>(), client, answer(channel));
  }

  private static ActionListener<Map<String, Boolean>> answer(RestChannel channel) {
    return new RestBuilderListener<>(channel) {
      @Override
      public BytesRestResponse buildResponse(Map<String, Boolean> made, XContentBuilder builder)
          throws Exception {
        builder.startObject();
        for (Map.Entry<String, Boolean> index : made.entrySet()) {
          builder.field(index.getKey(), index.getValue() ? "created" : "exists");
        }
        return new BytesRestResponse(RestStatus.OK, builder.endObject());
      }
    };
  }

  /** One after the other. */
  private static void create(
      List<UbiIndex> left,
      Map<String, Boolean> made,
      NodeClient client,
      ActionListener<Map<String, Boolean>> listener) {
    if (left.isEmpty()) {
      listener.onResponse(made);
      return;
    }
    UbiIndex next = left.getFirst();
    next.create(
        client,
        ActionListener.wrap(
            isNew -> {
              made.put(next.index(), isNew);
              create(left.subList(1, left.size()), made, client, listener);
            },
            listener::onFailure));
  }
}
