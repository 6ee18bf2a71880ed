package org.iterqr.probe;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Supplier;
import org.opensearch.ExceptionsHelper;
import org.opensearch.action.ActionRequest;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.support.ActionFilter;
import org.opensearch.action.support.ActionFilterChain;
import org.opensearch.action.support.ActionRequestMetadata;
import org.opensearch.cluster.metadata.IndexNameExpressionResolver;
import org.opensearch.cluster.node.DiscoveryNodes;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.IndexScopedSettings;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.settings.SettingsFilter;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.action.ActionResponse;
import org.opensearch.core.common.io.stream.NamedWriteableRegistry;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.core.tasks.TaskCancelledException;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.env.Environment;
import org.opensearch.env.NodeEnvironment;
import org.opensearch.plugins.ActionPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.plugins.SearchPlugin;
import org.opensearch.repositories.RepositoriesService;
import org.opensearch.rest.BaseRestHandler;
import org.opensearch.rest.BytesRestResponse;
import org.opensearch.rest.RestController;
import org.opensearch.rest.RestHandler;
import org.opensearch.rest.RestHeaderDefinition;
import org.opensearch.rest.RestRequest;
import org.opensearch.script.ScriptService;
import org.opensearch.tasks.Task;
import org.opensearch.threadpool.ThreadPool;
import org.opensearch.transport.client.Client;
import org.opensearch.transport.client.node.NodeClient;
import org.opensearch.watcher.ResourceWatcherService;

/**
 * Stands where a security plugin stands: an action filter that meets every search with its thread context. It writes
 * down what it meets ({@code GET _probe/searches}) and can hold searches that other searches make, as if they were slow
 * ({@code POST _probe/hold?containing=text}, {@code POST _probe/release}). Its query {@code probe_slow} takes its time
 * for each document.
 */
public final class SearchProbePlugin extends Plugin implements ActionPlugin, SearchPlugin {
  private static final String HEADER = "x-probe-caller";
  private static final String TRANSIENT = "probe.caller";

  private final List<Map<String, Object>> searches = new CopyOnWriteArrayList<>();
  private final List<Runnable> held = new ArrayList<>();
  private String holdContaining;
  private ThreadPool threadPool;

  @Override
  public Collection<Object> createComponents(
      Client client,
      ClusterService clusterService,
      ThreadPool pool,
      ResourceWatcherService resourceWatcherService,
      ScriptService scriptService,
      NamedXContentRegistry xContentRegistry,
      Environment environment,
      NodeEnvironment nodeEnvironment,
      NamedWriteableRegistry namedWriteableRegistry,
      IndexNameExpressionResolver indexNameExpressionResolver,
      Supplier<RepositoriesService> repositoriesServiceSupplier) {
    threadPool = pool;
    return List.of();
  }

  @Override
  public Collection<RestHeaderDefinition> getRestHeaders() {
    return List.of(new RestHeaderDefinition(HEADER, false));
  }

  @Override
  public List<QuerySpec<?>> getQueries() {
    return List.of(SlowQueryBuilder.spec());
  }

  @Override
  public List<ActionFilter> getActionFilters() {
    return List.of(new Filter());
  }

  @Override
  public List<RestHandler> getRestHandlers(
      Settings settings,
      RestController restController,
      ClusterSettings clusterSettings,
      IndexScopedSettings indexScopedSettings,
      SettingsFilter settingsFilter,
      IndexNameExpressionResolver indexNameExpressionResolver,
      Supplier<DiscoveryNodes> nodesInCluster) {
    return List.of(new Handler());
  }

  private void release() {
    List<Runnable> waiting;
    synchronized (held) {
      waiting = List.copyOf(held);
      held.clear();
      holdContaining = null;
    }
    waiting.forEach(search -> threadPool.generic().execute(search));
  }

  private final class Filter implements ActionFilter {
    @Override
    public int order() {
      return 0;
    }

    @Override
    public <Q extends ActionRequest, R extends ActionResponse> void apply(
        Task task,
        String action,
        Q request,
        ActionRequestMetadata<Q, R> metadata,
        ActionListener<R> listener,
        ActionFilterChain<Q, R> chain) {
      if (!(request instanceof SearchRequest search)) {
        chain.proceed(task, action, request, listener);
        return;
      }
      ThreadContext context = threadPool.getThreadContext();
      boolean isChild = task.getParentTaskId().isSet();
      if (!isChild && context.getHeader(HEADER) != null) {
        context.putTransient(TRANSIENT, "let in as " + context.getHeader(HEADER));
      }
      Map<String, Object> met = met(task, search, context);
      searches.add(met);
      ActionListener<R> told =
          ActionListener.wrap(
              response -> {
                met.put("ended", "answered");
                listener.onResponse(response);
              },
              failure -> {
                boolean cancelled = ExceptionsHelper.unwrap(failure, TaskCancelledException.class) != null;
                met.put("ended", cancelled ? "cancelled" : failure.getClass().getSimpleName());
                listener.onFailure(failure);
              });
      Runnable goOn = context.preserveContext(() -> chain.proceed(task, action, request, told));
      synchronized (held) {
        if (isChild && holdContaining != null && String.valueOf(search.source()).contains(holdContaining)) {
          met.put("held", true);
          held.add(goOn);
          return;
        }
      }
      chain.proceed(task, action, request, told);
    }

    private Map<String, Object> met(Task task, SearchRequest search, ThreadContext context) {
      Map<String, Object> met = new ConcurrentHashMap<>();
      met.put("task", task.getId());
      met.put("parent", task.getParentTaskId().getId());
      met.put("caller", String.valueOf(context.getHeader(HEADER)));
      met.put("let_in", String.valueOf((Object) context.getTransient(TRANSIENT)));
      met.put("opaque_id", String.valueOf(context.getHeader(Task.X_OPAQUE_ID)));
      met.put("preference", String.valueOf(search.preference()));
      met.put("routing", String.valueOf(search.routing()));
      met.put("cancel_after", String.valueOf(search.getCancelAfterTimeInterval()));
      met.put("timeout", search.source() == null ? "null" : String.valueOf(search.source().timeout()));
      met.put("source", String.valueOf(search.source()));
      return met;
    }
  }

  private final class Handler extends BaseRestHandler {
    @Override
    public String getName() {
      return "search_probe";
    }

    @Override
    public List<Route> routes() {
      return List.of(
          new Route(RestRequest.Method.GET, "/_probe/searches"),
          new Route(RestRequest.Method.DELETE, "/_probe/searches"),
          new Route(RestRequest.Method.POST, "/_probe/hold"),
          new Route(RestRequest.Method.POST, "/_probe/release"));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) throws IOException {
      String containing = request.param("containing");
      return channel -> {
        if (request.method() == RestRequest.Method.DELETE) {
          searches.clear();
        } else if (request.path().endsWith("/hold")) {
          synchronized (held) {
            holdContaining = containing;
          }
        } else if (request.path().endsWith("/release")) {
          release();
        }
        XContentBuilder body = channel.newBuilder().startObject();
        body.field("searches", searches);
        channel.sendResponse(new BytesRestResponse(RestStatus.OK, body.endObject()));
      };
    }
  }
}
