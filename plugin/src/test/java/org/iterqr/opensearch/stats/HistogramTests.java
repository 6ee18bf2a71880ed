package org.iterqr.opensearch.stats;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class HistogramTests {
  @Test
  void percentilesAreOffByAFifthAtMost() {
    Histogram histogram = new Histogram();
    for (int ms = 1; ms <= 1000; ms++) {
      histogram.record(TimeUnit.MILLISECONDS.toNanos(ms));
    }
    HistogramSnapshot snapshot = histogram.snapshot();
    assertEquals(1000, snapshot.count());
    for (double fraction : new double[] {0.01, 0.5, 0.95, 0.99}) {
      double exactNanos = fraction * 1000 * 1e6;
      assertEquals(exactNanos, snapshot.percentileNanos(fraction), exactNanos / 5);
    }
    assertEquals(TimeUnit.SECONDS.toNanos(1), snapshot.percentileNanos(1));
  }

  @Test
  void whatWasNotReachedIsNotCounted() {
    Histogram histogram = new Histogram();
    histogram.record(-1);
    assertEquals(0, histogram.snapshot().count());
    assertEquals(0, histogram.snapshot().percentileNanos(0.5));
  }

  @Test
  void theShortestAndTheLongestHaveTheirBuckets() {
    Histogram histogram = new Histogram();
    histogram.record(0);
    histogram.record(Long.MAX_VALUE / 2);
    HistogramSnapshot snapshot = histogram.snapshot();
    assertEquals(2, snapshot.count());
    assertTrue(snapshot.percentileNanos(0.5) <= 16_000);
    assertEquals(Long.MAX_VALUE / 2, snapshot.percentileNanos(1));
  }

  @Test
  void twoNodesTogetherAreAsOneThatCountedAll() {
    Histogram left = new Histogram();
    Histogram right = new Histogram();
    Histogram all = new Histogram();
    for (int i = 1; i <= 100; i++) {
      long nanos = i * 250_000L;
      (i % 3 == 0 ? left : right).record(nanos);
      all.record(nanos);
    }
    HistogramSnapshot sum = left.snapshot().plus(right.snapshot());
    for (double fraction : new double[] {0.1, 0.5, 0.9, 0.99, 1}) {
      assertEquals(all.snapshot().percentileNanos(fraction), sum.percentileNanos(fraction));
    }
    assertEquals(100, sum.count());
  }

  @Test
  void nothingIsLostUnderContention() throws InterruptedException {
    Histogram histogram = new Histogram();
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < 4; t++) {
      threads.add(
          Thread.startVirtualThread(
              () -> {
                for (int i = 0; i < 10_000; i++) {
                  histogram.record(i * 1000L);
                }
              }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertEquals(40_000, histogram.snapshot().count());
  }
}
