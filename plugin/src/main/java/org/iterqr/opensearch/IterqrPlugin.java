package org.iterqr.opensearch;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import org.iterqr.opensearch.client.ClientSettings;
import org.iterqr.opensearch.client.ClientStatsSection;
import org.iterqr.opensearch.client.RewriteClient;
import org.iterqr.opensearch.client.TlsSettings;
import org.iterqr.opensearch.client.TraceContext;
import org.iterqr.opensearch.eventtime.EventTimeSetting;
import org.iterqr.opensearch.experiment.Experiment;
import org.iterqr.opensearch.experiment.ExperimentSettings;
import org.iterqr.opensearch.explain.ExplainedSearch;
import org.iterqr.opensearch.explain.RestExplainAction;
import org.iterqr.opensearch.identity.ClientIdHasher;
import org.iterqr.opensearch.identity.IdentityReader;
import org.iterqr.opensearch.impression.ImpressionLog;
import org.iterqr.opensearch.impression.ImpressionLogs;
import org.iterqr.opensearch.impression.ImpressionSection;
import org.iterqr.opensearch.impression.ImpressionSettings;
import org.iterqr.opensearch.observe.LatencyObserver;
import org.iterqr.opensearch.observe.SearchObserver;
import org.iterqr.opensearch.observe.SearchObservers;
import org.iterqr.opensearch.outcome.OutcomeCounters;
import org.iterqr.opensearch.processor.QueryRewriteProcessor;
import org.iterqr.opensearch.processor.RewriteChannelProcessor;
import org.iterqr.opensearch.query.HitsQueryBuilder;
import org.iterqr.opensearch.response.IterqrExt;
import org.iterqr.opensearch.search.ChannelServices;
import org.iterqr.opensearch.search.SearchLifeListener;
import org.iterqr.opensearch.slowlog.SlowLog;
import org.iterqr.opensearch.slowlog.SlowLogSettings;
import org.iterqr.opensearch.stats.RestStatsAction;
import org.iterqr.opensearch.stats.StatsAction;
import org.iterqr.opensearch.stats.StatsSections;
import org.iterqr.opensearch.stats.TransportStatsAction;
import org.iterqr.opensearch.ubi.RestUbiInitializeAction;
import org.iterqr.opensearch.ubi.UbiExt;
import org.iterqr.opensearch.ubi.UbiSettings;
import org.opensearch.action.ActionRequest;
import org.opensearch.cluster.metadata.IndexNameExpressionResolver;
import org.opensearch.cluster.node.DiscoveryNodes;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.IndexScopedSettings;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.settings.SettingsFilter;
import org.opensearch.core.action.ActionResponse;
import org.opensearch.core.common.io.stream.NamedWriteableRegistry;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.env.Environment;
import org.opensearch.env.NodeEnvironment;
import org.opensearch.plugins.ActionPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.plugins.ReloadablePlugin;
import org.opensearch.plugins.SearchPipelinePlugin;
import org.opensearch.plugins.SearchPlugin;
import org.opensearch.repositories.RepositoriesService;
import org.opensearch.rest.RestController;
import org.opensearch.rest.RestHandler;
import org.opensearch.rest.RestHeaderDefinition;
import org.opensearch.script.ScriptService;
import org.opensearch.search.SearchExtBuilder;
import org.opensearch.search.pipeline.Processor;
import org.opensearch.search.pipeline.SearchRequestProcessor;
import org.opensearch.search.pipeline.SearchResponseProcessor;
import org.opensearch.threadpool.ThreadPool;
import org.opensearch.transport.client.Client;
import org.opensearch.watcher.ResourceWatcherService;

/** Registers everything the plugin adds to a node. */
public final class IterqrPlugin extends Plugin
    implements ActionPlugin, ReloadablePlugin, SearchPlugin, SearchPipelinePlugin {
  private final boolean readsUbiExt;
  private final boolean takesEventTime;
  private volatile Experiment experiment;
  private volatile ImpressionLog impressions;
  private final OutcomeCounters counters = new OutcomeCounters();
  private final LatencyObserver latencies = new LatencyObserver();
  private final SlowLog slowLog = new SlowLog();
  private volatile ChannelServices services;
  private final SearchObserver observer =
      new SearchObservers(
          List.of(
              search -> counters.count(search.summary().outcome()),
              latencies,
              slowLog,
              ExplainedSearch.observer(() -> services.threadPool().getThreadContext()),
              ExplainedSearch.hiddenFrom(
                  () -> impressions, () -> services.threadPool().getThreadContext())));
  private volatile RewriteClient client;

  /**
   * @param settings of the node
   */
  public IterqrPlugin(Settings settings) {
    readsUbiExt = UbiSettings.REGISTER_EXT.get(settings);
    takesEventTime = EventTimeSetting.ENABLED.get(settings);
    experiment = ExperimentSettings.read(settings);
  }

  @Override
  public List<Setting<?>> getSettings() {
    List<Setting<?>> settings = new ArrayList<>(SlowLogSettings.ALL);
    settings.addAll(ClientSettings.ALL);
    settings.addAll(TlsSettings.ALL);
    settings.addAll(UbiSettings.ALL);
    settings.addAll(ExperimentSettings.ALL);
    settings.addAll(ImpressionSettings.ALL);
    settings.add(ClientIdHasher.KEY);
    settings.add(EventTimeSetting.ENABLED);
    return settings;
  }

  @Override
  public Collection<Object> createComponents(
      Client nodeClient,
      ClusterService clusterService,
      ThreadPool threadPool,
      ResourceWatcherService resourceWatcherService,
      ScriptService scriptService,
      NamedXContentRegistry xContentRegistry,
      Environment environment,
      NodeEnvironment nodeEnvironment,
      NamedWriteableRegistry namedWriteableRegistry,
      IndexNameExpressionResolver indexNameExpressionResolver,
      Supplier<RepositoriesService> repositoriesServiceSupplier) {
    services =
        new ChannelServices(
            nodeClient, threadPool, xContentRegistry, () -> clusterService.localNode().getId());
    client =
        new RewriteClient(
            environment.settings(),
            environment.configDir(),
            threadPool.executor(ThreadPool.Names.GENERIC));
    ClusterSettings clusterSettings = clusterService.getClusterSettings();
    client.follow(clusterSettings);
    clusterSettings.addSettingsUpdateConsumer(
        changed -> experiment = ExperimentSettings.read(changed), ExperimentSettings.ALL);
    slowLog.follow(environment.settings(), clusterSettings);
    impressions =
        ImpressionLogs.start(environment.settings(), nodeClient, clusterService, readsUbiExt);
    return List.of(
        new SearchLifeListener(),
        new StatsSections(
            List.of(
                counters,
                latencies,
                new ClientStatsSection(client::stats),
                slowLog,
                new ImpressionSection(impressions::stats))));
  }

  @Override
  public Map<String, Processor.Factory<SearchRequestProcessor>> getRequestProcessors(
      Parameters parameters) {
    return Map.of(
        QueryRewriteProcessor.TYPE,
        new QueryRewriteProcessor.Factory(
            new IdentityReader(() -> experiment),
            () -> client,
            () -> services,
            parameters.namedXContentRegistry));
  }

  @Override
  public Map<String, Processor.Factory<SearchResponseProcessor>> getResponseProcessors(
      Parameters parameters) {
    return Map.of(
        RewriteChannelProcessor.TYPE,
        new RewriteChannelProcessor.Factory(() -> services, observer));
  }

  @Override
  public List<SearchExtSpec<?>> getSearchExts() {
    SearchExtSpec<SearchExtBuilder> ours = IterqrExt.spec(takesEventTime);
    return readsUbiExt ? List.of(ours, UbiExt.spec()) : List.of(ours);
  }

  @Override
  public List<QuerySpec<?>> getQueries() {
    return List.of(HitsQueryBuilder.spec());
  }

  @Override
  public Collection<RestHeaderDefinition> getRestHeaders() {
    return List.of(new RestHeaderDefinition(TraceContext.TRACEPARENT_HEADER, false));
  }

  @Override
  public List<ActionHandler<? extends ActionRequest, ? extends ActionResponse>> getActions() {
    return List.of(new ActionHandler<>(StatsAction.INSTANCE, TransportStatsAction.class));
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
    return List.of(
        new RestStatsAction(),
        new RestExplainAction(() -> services.registry()),
        new RestUbiInitializeAction());
  }

  @Override
  public void reload(Settings settings) {
    client.reload(settings);
  }

  @Override
  public void close() throws IOException {
    if (client != null) {
      client.close();
    }
  }
}
