package org.iterqr.opensearch.stats;

import java.io.IOException;
import java.util.Arrays;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.common.io.stream.Writeable;
import org.opensearch.core.xcontent.ToXContentFragment;
import org.opensearch.core.xcontent.XContentBuilder;

/** What a {@link Histogram} had counted at some time, on one node or on several. Immutable. */
public final class HistogramSnapshot implements Writeable, ToXContentFragment {
  private static final double NANOS_PER_MS = 1e6;

  private final long[] counts;
  private final long sumNanos;
  private final long maxNanos;

  HistogramSnapshot(long[] counts, long sumNanos, long maxNanos) {
    this.counts = counts;
    this.sumNanos = sumNanos;
    this.maxNanos = maxNanos;
  }

  HistogramSnapshot(StreamInput in) throws IOException {
    this(in.readVLongArray(), in.readVLong(), in.readVLong());
    if (counts.length != Histogram.buckets()) {
      throw new IOException("a histogram of other buckets: " + counts.length);
    }
  }

  /**
   * @param other of another node
   * @return both together
   */
  HistogramSnapshot plus(HistogramSnapshot other) {
    long[] sum = counts.clone();
    Arrays.setAll(sum, bucket -> sum[bucket] + other.counts[bucket]);
    return new HistogramSnapshot(
        sum, sumNanos + other.sumNanos, Math.max(maxNanos, other.maxNanos));
  }

  /**
   * @return how many durations were counted
   */
  long count() {
    return Arrays.stream(counts).sum();
  }

  /**
   * @param fraction between 0 and 1
   * @return the duration that this share of all does not exceed, interpolated within its bucket; 0
   *     if there is none
   */
  long percentileNanos(double fraction) {
    double wanted = fraction * count();
    double below = 0;
    for (int bucket = 0; bucket < counts.length; bucket++) {
      if (counts[bucket] > 0 && below + counts[bucket] >= wanted) {
        long lower = bucket == 0 ? 0 : Histogram.upperNanos(bucket - 1);
        long upper = Math.min(Histogram.upperNanos(bucket), maxNanos);
        double within = Math.clamp((wanted - below) / counts[bucket], 0.0, 1.0);
        return Math.min(maxNanos, Math.round(lower + within * Math.max(0, upper - lower)));
      }
      below += counts[bucket];
    }
    return 0;
  }

  @Override
  public void writeTo(StreamOutput out) throws IOException {
    out.writeVLongArray(counts);
    out.writeVLong(sumNanos);
    out.writeVLong(maxNanos);
  }

  @Override
  public XContentBuilder toXContent(XContentBuilder builder, Params params) throws IOException {
    long count = count();
    builder.field("count", count);
    builder.field("mean_ms", count == 0 ? 0 : ms(sumNanos / count));
    builder.field("p50_ms", ms(percentileNanos(0.50)));
    builder.field("p95_ms", ms(percentileNanos(0.95)));
    builder.field("p99_ms", ms(percentileNanos(0.99)));
    builder.field("max_ms", ms(maxNanos));
    builder.startArray("buckets");
    for (int bucket = 0; bucket < counts.length; bucket++) {
      if (counts[bucket] > 0) {
        builder.startObject();
        if (bucket < counts.length - 1) {
          builder.field("le_ms", ms(Histogram.upperNanos(bucket)));
        }
        builder.field("count", counts[bucket]).endObject();
      }
    }
    return builder.endArray();
  }

  private static double ms(long nanos) {
    return Math.round(nanos / NANOS_PER_MS * 1000) / 1000.0;
  }
}
