package org.iterqr.opensearch.search;

import java.util.Optional;
import org.opensearch.action.search.SearchPhaseContext;
import org.opensearch.action.search.SearchRequestContext;
import org.opensearch.action.search.SearchRequestOperationsListener;
import org.opensearch.search.pipeline.PipelinedRequest;

/**
 * Tells a search's {@link ChannelRun} that the search's first phase begins: all request processors
 * are done with the request by then, and the coordinator has rewritten it; and that it has failed,
 * for then no response processor asks for the run's result. Searches without a run are not touched.
 */
public final class SearchLifeListener extends SearchRequestOperationsListener {
  @Override
  protected void onPhaseStart(SearchPhaseContext context) {
    runOf(context).ifPresent(run -> run.searchStarted(context.getRequest(), context.getTask()));
  }

  @Override
  protected void onRequestFailure(SearchPhaseContext context, SearchRequestContext ignored) {
    runOf(context).ifPresent(ChannelRun::searchFailed);
  }

  private static Optional<ChannelRun> runOf(SearchPhaseContext context) {
    return context.getRequest() instanceof PipelinedRequest pipelined
            && pipelined.getPipelineProcessingContext().getAttribute(ChannelRun.ATTRIBUTE)
                instanceof ChannelRun run
        ? Optional.of(run)
        : Optional.empty();
  }
}
