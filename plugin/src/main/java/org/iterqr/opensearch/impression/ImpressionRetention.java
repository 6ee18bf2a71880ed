package org.iterqr.opensearch.impression;

import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Supplier;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.opensearch.action.admin.indices.delete.DeleteIndexRequest;
import org.opensearch.action.admin.indices.rollover.RolloverRequest;
import org.opensearch.cluster.ClusterState;
import org.opensearch.cluster.metadata.DataStream;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.common.lifecycle.Lifecycle;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.core.action.ActionListener;
import org.opensearch.threadpool.ThreadPool;
import org.opensearch.transport.client.Client;

/**
 * Deletes impressions that have reached their age, on the elected cluster manager alone. Whether
 * there is anything to do is read from the cluster state, so a look costs nothing.
 */
public final class ImpressionRetention implements Runnable {
  private static final Logger logger = LogManager.getLogger(ImpressionRetention.class);
  private static final TimeValue INTERVAL = TimeValue.timeValueSeconds(5);

  private final Client client;
  private final ClusterService clusterService;
  private final Supplier<ImpressionSettings> settings;
  private final AtomicBoolean isBusy = new AtomicBoolean();

  ImpressionRetention(
      Client client, ClusterService clusterService, Supplier<ImpressionSettings> settings) {
    this.client = client;
    this.clusterService = clusterService;
    this.settings = settings;
  }

  /**
   * Starts looking, until the node stops.
   *
   * @param client of the node
   * @param clusterService of the node
   * @param settings as they are now
   */
  public static void start(
      Client client, ClusterService clusterService, Supplier<ImpressionSettings> settings) {
    client
        .threadPool()
        .scheduleWithFixedDelay(
            new ImpressionRetention(client, clusterService, settings),
            INTERVAL,
            ThreadPool.Names.GENERIC);
  }

  @Override
  public void run() {
    TimeValue retention = settings.get().retention();
    if (clusterService.lifecycleState() != Lifecycle.State.STARTED
        || retention.equals(TimeValue.MINUS_ONE)) {
      return;
    }
    ClusterState state = clusterService.state();
    DataStream stream = state.metadata().dataStreams().get(ImpressionStream.NAME);
    if (!state.nodes().isLocalNodeElectedClusterManager() || stream == null) {
      return;
    }
    List<RetentionPlan.BackingIndex> indices =
        stream.getIndices().stream()
            .map(
                index ->
                    new RetentionPlan.BackingIndex(
                        index.getName(), state.metadata().index(index).getCreationDate()))
            .toList();
    RetentionPlan plan =
        RetentionPlan.of(indices, client.threadPool().absoluteTimeInMillis(), retention.millis());
    if (plan.rollsOver() || !plan.expired().isEmpty()) {
      carryOut(plan);
    }
  }

  /** Does nothing while an earlier plan is carried out. */
  void carryOut(RetentionPlan plan) {
    if (!isBusy.compareAndSet(false, true)) {
      return;
    }
    ActionListener<Void> done =
        ActionListener.runAfter(
            ActionListener.wrap(
                ignored -> {},
                failure ->
                    logger.warn(
                        "the impressions' retention could not be kept: {}",
                        failure.getClass().getName())),
            () -> isBusy.set(false));
    ActionListener<Void> deleted =
        ActionListener.wrap(
            ignored -> {
              if (plan.rollsOver()) {
                rollOver(done);
              } else {
                done.onResponse(null);
              }
            },
            done::onFailure);
    if (plan.expired().isEmpty()) {
      deleted.onResponse(null);
      return;
    }
    try {
      delete(plan.expired(), deleted);
    } catch (RuntimeException e) {
      // A client may throw instead of telling the listener; the next look must find us free.
      done.onFailure(e);
    }
  }

  private void delete(List<String> expired, ActionListener<Void> listener) {
    logger.info("deleting impressions that have reached their age: {}", expired);
    client
        .admin()
        .indices()
        .delete(
            new DeleteIndexRequest(expired.toArray(String[]::new)),
            ActionListener.wrap(done -> listener.onResponse(null), listener::onFailure));
  }

  private void rollOver(ActionListener<Void> listener) {
    client
        .admin()
        .indices()
        .rolloverIndex(
            new RolloverRequest(ImpressionStream.NAME, null),
            ActionListener.wrap(done -> listener.onResponse(null), listener::onFailure));
  }
}
