package org.iterqr.opensearch.processor;

import java.util.Map;
import java.util.function.Supplier;
import org.iterqr.opensearch.fusion.FusionSettings;
import org.iterqr.opensearch.observe.SearchObserver;
import org.iterqr.opensearch.search.ChannelRun;
import org.iterqr.opensearch.search.ChannelServices;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.core.action.ActionListener;
import org.opensearch.search.pipeline.AbstractProcessor;
import org.opensearch.search.pipeline.PipelineProcessingContext;
import org.opensearch.search.pipeline.Processor;
import org.opensearch.search.pipeline.SearchResponseProcessor;
import org.opensearch.threadpool.ThreadPool;

/**
 * Waits, without holding a thread, at most what is left of the budget for the channel's windows,
 * and answers with the fused page or with the plain response. Never fails a search.
 */
public final class RewriteChannelProcessor extends AbstractProcessor
    implements SearchResponseProcessor {
  /** Name of the processor in pipelines. */
  public static final String TYPE = "rewrite_channel";

  private final FusionSettings settings;
  private final Supplier<ChannelServices> services;
  private final SearchObserver observer;

  private RewriteChannelProcessor(
      String tag,
      String description,
      boolean ignoreFailure,
      FusionSettings settings,
      Supplier<ChannelServices> services,
      SearchObserver observer) {
    super(tag, description, ignoreFailure);
    this.settings = settings;
    this.services = services;
    this.observer = observer;
  }

  @Override
  public String getType() {
    return TYPE;
  }

  @Override
  public SearchResponse processResponse(SearchRequest request, SearchResponse response) {
    throw new UnsupportedOperationException("[" + TYPE + "] runs asynchronously");
  }

  @Override
  public void processResponseAsync(
      SearchRequest request,
      SearchResponse response,
      PipelineProcessingContext context,
      ActionListener<SearchResponse> listener) {
    Object attribute = context.getAttribute(ChannelRun.ATTRIBUTE);
    ChannelRun run = attribute instanceof ChannelRun channelRun ? channelRun : null;
    Answer answer = new Answer(run, settings, observer, request, response, listener);
    ThreadPool threadPool = services.get().threadPool();
    if (context.getAttribute(QueryRewriteProcessor.EXPANSION)
        instanceof Expansion.Result expansion) {
      answer.sendExpanded(expansion);
    } else if (run != null && run.plan().options().mode().isShadow() && !run.wasPassedThrough()) {
      new ShadowObservation(answer, threadPool).start();
    } else {
      new ResponseFusion(answer, threadPool).start();
    }
  }

  /** Creates the processor of a pipeline. */
  public static final class Factory implements Processor.Factory<SearchResponseProcessor> {
    private final Supplier<ChannelServices> services;
    private final SearchObserver observer;

    /**
     * @param services of this node
     * @param observer is told of every answer
     */
    public Factory(Supplier<ChannelServices> services, SearchObserver observer) {
      this.services = services;
      this.observer = observer;
    }

    @Override
    public SearchResponseProcessor create(
        Map<String, Processor.Factory<SearchResponseProcessor>> factories,
        String tag,
        String description,
        boolean ignoreFailure,
        Map<String, Object> config,
        PipelineContext context) {
      return new RewriteChannelProcessor(
          tag, description, ignoreFailure, FusionConfig.read(tag, config), services, observer);
    }
  }
}
