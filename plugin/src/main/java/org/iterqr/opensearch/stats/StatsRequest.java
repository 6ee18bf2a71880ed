package org.iterqr.opensearch.stats;

import java.io.IOException;
import org.opensearch.action.support.nodes.BaseNodesRequest;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.transport.TransportRequest;

/** Asks for the statistics of some nodes, or of all. */
public final class StatsRequest extends BaseNodesRequest<StatsRequest> {
  /**
   * @param nodeIds ids, names or filters as everywhere in the nodes' API; none for all
   */
  public StatsRequest(String... nodeIds) {
    super(nodeIds);
  }

  StatsRequest(StreamInput in) throws IOException {
    super(in);
  }

  /** What one node is asked. */
  static final class OfNode extends TransportRequest {
    OfNode() {}

    OfNode(StreamInput in) throws IOException {
      super(in);
    }

    @Override
    public void writeTo(StreamOutput out) throws IOException {
      super.writeTo(out);
    }
  }
}
