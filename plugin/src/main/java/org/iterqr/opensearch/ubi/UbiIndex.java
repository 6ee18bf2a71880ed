package org.iterqr.opensearch.ubi;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import org.opensearch.ResourceAlreadyExistsException;
import org.opensearch.action.admin.indices.create.CreateIndexRequest;
import org.opensearch.cluster.metadata.IndexMetadata;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.xcontent.MediaTypeRegistry;
import org.opensearch.transport.client.Client;

/** An index of UBI 1.3.0, with the mappings of {@code <name>.json}. */
public enum UbiIndex {
  /** Searches. */
  QUERIES("ubi_queries"),
  /** What users did with their results. */
  EVENTS("ubi_events");

  private final String index;

  UbiIndex(String index) {
    this.index = index;
  }

  /**
   * @return its name
   */
  public String index() {
    return index;
  }

  /**
   * @param clusterService of the node
   * @return whether there is an index, alias or data stream of its name
   */
  public boolean exists(ClusterService clusterService) {
    return clusterService.state().metadata().getIndicesLookup().containsKey(index);
  }

  /**
   * Makes the index as the current thread context may. One that is there is left as it is.
   *
   * @param client of the node
   * @param listener is told whether it was made now
   */
  public void create(Client client, ActionListener<Boolean> listener) {
    CreateIndexRequest request =
        new CreateIndexRequest(index)
            .mapping(mappings(), MediaTypeRegistry.JSON)
            .settings(
                Settings.builder()
                    .put(IndexMetadata.INDEX_NUMBER_OF_SHARDS_SETTING.getKey(), 1)
                    .put(IndexMetadata.INDEX_AUTO_EXPAND_REPLICAS_SETTING.getKey(), "0-2"));
    client
        .admin()
        .indices()
        .create(
            request,
            ActionListener.wrap(
                made -> listener.onResponse(true),
                failure -> {
                  if (failure instanceof ResourceAlreadyExistsException) {
                    listener.onResponse(false);
                  } else {
                    listener.onFailure(failure);
                  }
                }));
  }

  private String mappings() {
    String file = index + ".json";
    try (InputStream json = UbiIndex.class.getResourceAsStream(file)) {
      return new String(json.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException("the plugin's own " + file, e);
    }
  }
}
