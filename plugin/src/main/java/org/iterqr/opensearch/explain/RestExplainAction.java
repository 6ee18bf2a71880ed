package org.iterqr.opensearch.explain;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.rest.BaseRestHandler;
import org.opensearch.rest.BytesRestResponse;
import org.opensearch.rest.RestChannel;
import org.opensearch.rest.RestRequest;
import org.opensearch.rest.action.RestActionListener;
import org.opensearch.rest.action.RestCancellableNodeClient;
import org.opensearch.rest.action.search.RestSearchAction;
import org.opensearch.transport.client.Client;
import org.opensearch.transport.client.node.NodeClient;

/**
 * {@code POST /_plugins/_iterqr/explain/{index}}: makes the search in the body, with the pipeline
 * that it names or its index has, and tells what each channel retrieved and why each document ranks
 * where it does. {@code ?document=} asks about one document. Everything is searched with the
 * caller's rights.
 */
public final class RestExplainAction extends BaseRestHandler {
  private static final String PATH = "/_plugins/_iterqr/explain";
  private static final Map<String, Object> UNANSWERED =
      Map.of("outcome", "", "meaning", "No [rewrite_channel] answered it.");

  private final Supplier<NamedXContentRegistry> registry;

  /**
   * @param registry of the node
   */
  public RestExplainAction(Supplier<NamedXContentRegistry> registry) {
    this.registry = registry;
  }

  @Override
  public String getName() {
    return "iterqr_explain";
  }

  @Override
  public List<Route> routes() {
    return List.of(
        new Route(RestRequest.Method.GET, PATH),
        new Route(RestRequest.Method.POST, PATH),
        new Route(RestRequest.Method.GET, PATH + "/{index}"),
        new Route(RestRequest.Method.POST, PATH + "/{index}"));
  }

  @Override
  protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client)
      throws IOException {
    SearchRequest search = new SearchRequest();
    request.withContentOrSourceParamParserOrNull(
        parser ->
            RestSearchAction.parseSearchRequest(
                search,
                request,
                parser,
                client.getNamedWriteableRegistry(),
                size -> search.source().size(size)));
    if (search.scroll() != null) {
      throw new IllegalArgumentException("[scroll] cannot be explained");
    }
    Optional<String> document = Optional.ofNullable(request.param("document"));
    return channel -> {
      Client cancellable = new RestCancellableNodeClient(client, request.getHttpChannel());
      ExplainedSearch explained = ExplainedSearch.in(client.threadPool().getThreadContext());
      cancellable.search(
          search,
          new RestActionListener<SearchResponse>(channel) {
            @Override
            protected void processResponse(SearchResponse response) {
              explained.whenAnswered(
                  client.threadPool().getThreadContext(),
                  ActionListener.wrap(
                      answer -> {
                        if (answer.isEmpty()) {
                          send(channel, UNANSWERED);
                        } else {
                          explain(channel, cancellable, answer.get(), document, this);
                        }
                      },
                      this::onFailure));
            }
          });
    };
  }

  private void explain(
      RestChannel channel,
      Client client,
      AnsweredSearch answer,
      Optional<String> document,
      ActionListener<?> failures) {
    DocumentLookup lookup = new DocumentLookup(client, registry.get(), answer);
    lookup.ids(
        ActionListener.wrap(
            ids -> {
              if (document.isEmpty()) {
                send(channel, Explanation.of(answer, ids, Optional.empty()));
                return;
              }
              lookup.document(
                  document.get(),
                  ActionListener.wrap(
                      asked -> send(channel, Explanation.of(answer, ids, Optional.of(asked))),
                      failures::onFailure));
            },
            failures::onFailure));
  }

  private static void send(RestChannel channel, Map<String, Object> explanation)
      throws IOException {
    try (XContentBuilder builder = channel.newBuilder()) {
      builder.map(explanation);
      channel.sendResponse(new BytesRestResponse(RestStatus.OK, builder));
    }
  }
}
