package org.iterqr.opensearch.impression;

import java.util.function.Supplier;
import org.iterqr.opensearch.eventtime.EventTimeSetting;
import org.iterqr.opensearch.identity.ClientIdHasher;
import org.iterqr.opensearch.ubi.UbiSettings;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.common.lifecycle.LifecycleListener;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.transport.client.Client;

/** Puts the impression log into a node. */
public final class ImpressionLogs {
  /** A node that stops waits this long for its log; indices are still there by then. */
  private static final TimeValue LAST_FLUSH = TimeValue.timeValueSeconds(5);

  private ImpressionLogs() {}

  /**
   * Starts the log and the deletion of old impressions; both follow the cluster's settings and end
   * with the node.
   *
   * @param settings of the node, while its keystore is open
   * @param client of the node
   * @param clusterService of the node
   * @param mayWriteUbi whether the UBI plugin is not there to write queries
   * @return the log
   * @throws IllegalArgumentException if a setting is not for this node
   */
  public static ImpressionLog start(
      Settings settings, Client client, ClusterService clusterService, boolean mayWriteUbi) {
    Supplier<String> nodeRun = () -> clusterService.localNode().getEphemeralId();
    ImpressionLog log =
        new ImpressionLog(
            ImpressionSettings.of(settings),
            ClientIdHasher.of(settings),
            EventTimeSetting.read(settings),
            nodeRun,
            client.threadPool(),
            new BulkSender(client, new ImpressionStream(client, clusterService)),
            new BulkSender(client, new UbiQueriesIndex(client, clusterService)));
    ClusterSettings changes = clusterService.getClusterSettings();
    changes.addSettingsUpdateConsumer(
        changed -> log.settings(ImpressionSettings.of(changed)), ImpressionSettings.ALL);
    if (mayWriteUbi) {
      log.writesUbiQueries(UbiSettings.WRITE_QUERIES.get(settings));
      changes.addSettingsUpdateConsumer(UbiSettings.WRITE_QUERIES, log::writesUbiQueries);
    }
    ImpressionRetention.start(client, clusterService, log::settings);
    clusterService.addLifecycleListener(
        new LifecycleListener() {
          @Override
          public void beforeStop() {
            log.close(LAST_FLUSH);
          }
        });
    return log;
  }
}
