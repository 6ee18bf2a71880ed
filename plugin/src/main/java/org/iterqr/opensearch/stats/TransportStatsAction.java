package org.iterqr.opensearch.stats;

import java.io.IOException;
import java.util.List;
import org.opensearch.action.FailedNodeException;
import org.opensearch.action.support.ActionFilters;
import org.opensearch.action.support.nodes.TransportNodesAction;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.common.inject.Inject;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.threadpool.ThreadPool;
import org.opensearch.transport.TransportService;

/** Asks the nodes for their sections, and answers for this one. */
public final class TransportStatsAction
    extends TransportNodesAction<StatsRequest, StatsResponse, StatsRequest.OfNode, NodeStats> {
  private final StatsSections sections;

  /**
   * Called by the node.
   *
   * @param threadPool of the node
   * @param clusterService of the node
   * @param transportService of the node
   * @param actionFilters of the node
   * @param sections of this node
   */
  @Inject
  public TransportStatsAction(
      ThreadPool threadPool,
      ClusterService clusterService,
      TransportService transportService,
      ActionFilters actionFilters,
      StatsSections sections) {
    super(
        StatsAction.NAME,
        threadPool,
        clusterService,
        transportService,
        actionFilters,
        StatsRequest::new,
        StatsRequest.OfNode::new,
        ThreadPool.Names.MANAGEMENT,
        NodeStats.class);
    this.sections = sections;
  }

  @Override
  protected StatsResponse newResponse(
      StatsRequest request, List<NodeStats> nodes, List<FailedNodeException> failures) {
    return new StatsResponse(clusterService.getClusterName(), nodes, failures);
  }

  @Override
  protected StatsRequest.OfNode newNodeRequest(StatsRequest request) {
    return new StatsRequest.OfNode();
  }

  @Override
  protected NodeStats newNodeResponse(StreamInput in) throws IOException {
    return new NodeStats(in);
  }

  @Override
  protected NodeStats nodeOperation(StatsRequest.OfNode request) {
    return new NodeStats(clusterService.localNode(), sections.read());
  }
}
