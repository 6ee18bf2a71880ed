package org.iterqr.opensearch.stats;

import java.io.IOException;
import org.opensearch.action.support.nodes.BaseNodeResponse;
import org.opensearch.cluster.node.DiscoveryNode;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;

/** One node's sections. */
public final class NodeStats extends BaseNodeResponse {
  private final Stat.Group sections;

  NodeStats(DiscoveryNode node, Stat.Group sections) {
    super(node);
    this.sections = sections;
  }

  NodeStats(StreamInput in) throws IOException {
    super(in);
    if (!(StatWire.read(in) instanceof Stat.Group group)) {
      throw new IOException("statistics without sections");
    }
    this.sections = group;
  }

  @Override
  public void writeTo(StreamOutput out) throws IOException {
    super.writeTo(out);
    sections.writeTo(out);
  }

  Stat.Group sections() {
    return sections;
  }
}
