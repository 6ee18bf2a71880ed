package org.iterqr.opensearch.processor;

import java.io.IOException;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.apache.lucene.search.IndexSearcher;
import org.iterqr.opensearch.client.RewriteCall;
import org.iterqr.opensearch.client.RewriteClient;
import org.iterqr.opensearch.client.RewriteLimits;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.client.TraceContext;
import org.iterqr.opensearch.experiment.ExperimentBucket;
import org.iterqr.opensearch.identity.IdentityReader;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.options.Mode;
import org.iterqr.opensearch.options.SearchOptions;
import org.iterqr.opensearch.outcome.Faults;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.page.PageToken;
import org.iterqr.opensearch.page.RetrievalDigest;
import org.iterqr.opensearch.query.Eligibility;
import org.iterqr.opensearch.query.RewriteTemplate;
import org.iterqr.opensearch.query.Rewriting;
import org.iterqr.opensearch.query.SearchSource;
import org.iterqr.opensearch.response.RequestExt;
import org.iterqr.opensearch.search.Budget;
import org.iterqr.opensearch.search.ChannelResult;
import org.iterqr.opensearch.search.ChannelRun;
import org.iterqr.opensearch.search.ChannelServices;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.support.ContextPreservingActionListener;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.search.pipeline.AbstractProcessor;
import org.opensearch.search.pipeline.PipelineProcessingContext;
import org.opensearch.search.pipeline.Processor;
import org.opensearch.search.pipeline.SearchRequestProcessor;
import org.opensearch.tasks.Task;

/**
 * Starts the rewriting of the user's text and lets the search go on at once, unchanged; in mode
 * expand it goes on when the rewrites are in its query or the budget ends. Never holds a thread,
 * never fails a search.
 */
public final class QueryRewriteProcessor extends AbstractProcessor
    implements SearchRequestProcessor {
  /** Name of the processor in pipelines. */
  public static final String TYPE = "query_rewrite";

  /** Where it leaves how an expansion ended. */
  static final String EXPANSION = "iterqr.expansion";

  private static final Logger logger = LogManager.getLogger(QueryRewriteProcessor.class);

  private final SearchOptions pipeline;
  private final IdentityReader identities;
  private final Supplier<RewriteClient> client;
  private final Supplier<ChannelServices> services;

  private QueryRewriteProcessor(
      String tag,
      String description,
      boolean ignoreFailure,
      SearchOptions pipeline,
      IdentityReader identities,
      Supplier<RewriteClient> client,
      Supplier<ChannelServices> services) {
    super(tag, description, ignoreFailure);
    this.pipeline = pipeline;
    this.identities = identities;
    this.client = client;
    this.services = services;
  }

  @Override
  public String getType() {
    return TYPE;
  }

  @Override
  public SearchRequest processRequest(SearchRequest request) {
    throw new UnsupportedOperationException("[" + TYPE + "] runs asynchronously");
  }

  @Override
  public void processRequestAsync(
      SearchRequest request,
      PipelineProcessingContext context,
      ActionListener<SearchRequest> listener) {
    RequestExt ext = RequestExt.of(request);
    SearchOptions options = ext.over(pipeline);
    Budget budget = Budget.start(options.budgetMs());
    SearchIdentity identity = SearchIdentity.NONE;
    ChannelRun run;
    try {
      identity = identities.read(request, options.region());
      if (identity.assignment().bucket() == ExperimentBucket.SHADOW) {
        options = options.shadowed();
      }
      run = start(request, ext, options, identity, budget);
    } catch (Throwable e) {
      Faults.report(logger, "the search goes on without rewriting", e);
      run = ended(options, identity, budget, "", Outcome.ERROR);
    }
    context.setAttribute(ChannelRun.ATTRIBUTE, run);
    if (options.mode() == Mode.EXPAND && !run.wasPassedThrough()) {
      expandThenGoOn(request, context, run, listener);
    } else {
      run.handedOn();
      listener.onResponse(request);
    }
  }

  /** The search waits for the rewrites, within the budget, without holding a thread. */
  private void expandThenGoOn(
      SearchRequest request,
      PipelineProcessingContext context,
      ChannelRun run,
      ActionListener<SearchRequest> listener) {
    ActionListener<ChannelResult> onResult =
        ActionListener.wrap(
            result -> {
              context.setAttribute(EXPANSION, expanded(request, run, result));
              run.handedOn();
              listener.onResponse(request);
            },
            listener::onFailure);
    run.result(
        ContextPreservingActionListener.wrapPreservingContext(
            onResult, services.get().threadPool().getThreadContext()));
  }

  private Expansion.Result expanded(SearchRequest request, ChannelRun run, ChannelResult result) {
    try {
      return switch (result) {
        case ChannelResult.NotFused(Outcome outcome) -> Expansion.Result.not(outcome);
        case ChannelResult.Rewritten(RewriteReply reply) ->
            Expansion.expand(run.plan(), reply, request, services.get().registry());
        case ChannelResult.Retrieved ignored -> Expansion.Result.not(Outcome.ERROR);
      };
    } catch (Throwable e) {
      Faults.report(logger, "the search goes on without rewriting", e);
      return Expansion.Result.not(Outcome.ERROR);
    }
  }

  private ChannelRun start(
      SearchRequest request,
      RequestExt ext,
      SearchOptions options,
      SearchIdentity identity,
      Budget budget)
      throws IOException {
    if (options.mode() == Mode.OFF) {
      return ended(options, identity, budget, "", Outcome.DISABLED);
    }
    Optional<Outcome> skip =
        options.mode().expands()
            ? Eligibility.expandSkipReason(request)
            : Eligibility.skipReason(request, options.windowSize());
    if (skip.isPresent()) {
      return ended(options, identity, budget, "", skip.get());
    }
    String given = ext.query() == null ? "" : ext.query();
    if (RewriteLimits.length(identity.region()) > RewriteLimits.LABEL_CHARACTERS) {
      return ended(options, identity, budget, given, Outcome.REJECTED);
    }
    // Before anything that costs, and after all that does not: as far as that goes, arms have the
    // same outcomes.
    if (identity.assignment().bucket() == ExperimentBucket.CONTROL) {
      return ended(options, identity, budget, given, Outcome.CONTROL);
    }
    SearchSource source = SearchSource.of(request.source());
    Optional<Outcome> harm =
        options.mode().expands()
            ? Eligibility.expandHarmReason(source, IndexSearcher.getMaxClauseCount())
            : Optional.empty();
    if (harm.isPresent()) {
      return ended(options, identity, budget, "", harm.get());
    }
    Optional<Rewriting> rewriting =
        Rewriting.find(source.query(), ext.query(), identity.userQuery(), options.rewriteQuery());
    if (rewriting.isEmpty()) {
      return ended(options, identity, budget, "", Outcome.SKIPPED_NO_TEXT);
    }
    String query = rewriting.get().text();
    int characters = RewriteLimits.length(query);
    if (characters > RewriteLimits.QUERY_CHARACTERS) {
      return ended(options, identity, budget, query, Outcome.REJECTED);
    }
    String digest = digest(request, source, ext, options, query);
    Optional<PageToken> pinned = ext.pageToken().flatMap(token -> PageToken.decode(token, digest));
    if (pinned.isEmpty() && Eligibility.isLaterPage(request.source())) {
      return ended(options, identity, budget, query, Outcome.PAGE_UNPINNED);
    }
    if (options.policy().isPresent() && !options.policy().get().policy().rewrites(characters)) {
      return ended(options, identity, budget, query, Outcome.SKIPPED_POLICY);
    }
    int windowSize = pinned.map(PageToken::windowSize).orElse(options.windowSize());
    TraceContext trace = trace();
    ChannelRun run =
        ChannelRun.open(
            services.get(),
            budget,
            new ChannelRun.Plan(
                trace.requestId(),
                identity,
                options.withWindowSize(windowSize),
                query,
                ext.query(),
                digest,
                pinned));
    if (pinned.isPresent()) {
      PageToken token = pinned.get();
      run.rewritesArrived(RewriteReply.pinned(token.checkpointId(), token.rewrites()));
    } else {
      askServer(run, trace);
    }
    return run;
  }

  private TraceContext trace() {
    ThreadContext context = services.get().threadPool().getThreadContext();
    return TraceContext.of(
        context.getHeader(TraceContext.TRACEPARENT_HEADER), context.getHeader(Task.X_OPAQUE_ID));
  }

  private void askServer(ChannelRun run, TraceContext trace) {
    SearchOptions options = run.plan().options();
    RewriteCall call =
        new RewriteCall(
            run.plan().query(),
            run.plan().identity().region(),
            options.tenant(),
            options.maxRewrites(),
            run.budget().rewriteDeadlineMs(),
            trace);
    try {
      client.get().rewrite(call, ActionListener.wrap(run::rewritesArrived, run::rewritesFailed));
    } catch (RuntimeException e) {
      logger.warn("the rewrite server could not be called: {}", e.getClass().getName());
      run.rewritesFailed(e);
    }
  }

  private ChannelRun ended(
      SearchOptions options,
      SearchIdentity identity,
      Budget budget,
      String query,
      Outcome outcome) {
    return ChannelRun.ended(
        services.get(),
        budget,
        new ChannelRun.Plan("", identity, options, query, null, "", Optional.empty()),
        outcome);
  }

  private static String digest(
      SearchRequest request,
      SearchSource source,
      RequestExt ext,
      SearchOptions options,
      String text) {
    return RetrievalDigest.of(
        Arrays.asList(request.indices()),
        request.routing(),
        request.searchType().toString(),
        source.retrieval(),
        options.rewriteQuery().map(RewriteTemplate::query).orElse(null),
        // A pipeline's may change between pages: its weights are in the token.
        ext.policy().orElse(null),
        text);
  }

  /** Creates the processor of a pipeline. */
  public static final class Factory implements Processor.Factory<SearchRequestProcessor> {
    private final IdentityReader identities;
    private final Supplier<RewriteClient> client;
    private final Supplier<ChannelServices> services;
    private final NamedXContentRegistry registry;

    /**
     * @param identities finds out who searches
     * @param client of this node
     * @param services of this node
     * @param registry knows the node's query types
     */
    public Factory(
        IdentityReader identities,
        Supplier<RewriteClient> client,
        Supplier<ChannelServices> services,
        NamedXContentRegistry registry) {
      this.identities = identities;
      this.client = client;
      this.services = services;
      this.registry = registry;
    }

    @Override
    public SearchRequestProcessor create(
        Map<String, Processor.Factory<SearchRequestProcessor>> factories,
        String tag,
        String description,
        boolean ignoreFailure,
        Map<String, Object> config,
        PipelineContext context) {
      return new QueryRewriteProcessor(
          tag,
          description,
          ignoreFailure,
          RewriteConfig.read(tag, config, registry),
          identities,
          client,
          services);
    }
  }
}
