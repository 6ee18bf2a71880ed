package org.iterqr.opensearch.search;

import org.opensearch.action.search.SearchPhaseContext;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchRequestOperationsListener;
import org.opensearch.search.pipeline.PipelinedRequest;

/**
 * Tells a search's {@link ChannelRun} that the search's first phase begins: all request processors
 * are done with the request by then, and the coordinator has rewritten it. Searches without a run
 * are not touched.
 */
public final class SearchStartListener extends SearchRequestOperationsListener {
  @Override
  protected void onPhaseStart(SearchPhaseContext context) {
    SearchRequest request = context.getRequest();
    if (request instanceof PipelinedRequest pipelined
        && pipelined.getPipelineProcessingContext().getAttribute(ChannelRun.ATTRIBUTE)
            instanceof ChannelRun run) {
      run.searchStarted(request, context.getTask().getId());
    }
  }
}
