package org.iterqr.opensearch.impression;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import org.opensearch.ResourceAlreadyExistsException;
import org.opensearch.action.admin.indices.datastream.CreateDataStreamAction;
import org.opensearch.action.admin.indices.template.put.PutComposableIndexTemplateAction;
import org.opensearch.cluster.metadata.ComposableIndexTemplate;
import org.opensearch.cluster.metadata.Metadata;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.common.xcontent.LoggingDeprecationHandler;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.transport.client.Client;

/** The data stream of impressions and the index template it is made from. */
public final class ImpressionStream implements LogIndex {
  /** Of the data stream and of the template. */
  public static final String NAME = "iterqr-impressions";

  private static final String TEMPLATE_FILE = "template.json";

  private final Client client;
  private final ClusterService clusterService;
  private final ComposableIndexTemplate template = readTemplate();

  /**
   * @param client of the node
   * @param clusterService of the node
   */
  public ImpressionStream(Client client, ClusterService clusterService) {
    this.client = client;
    this.clusterService = clusterService;
  }

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public void ensure(ActionListener<Void> listener) {
    Metadata metadata = clusterService.state().metadata();
    ComposableIndexTemplate present = metadata.templatesV2().get(NAME);
    boolean isOld =
        present == null
            // One without a version is somebody's own.
            || (present.version() != null && present.version() < template.version());
    if (isOld) {
      putTemplate(ActionListener.wrap(done -> ensureStream(listener), listener::onFailure));
    } else {
      ensureStream(listener);
    }
  }

  private void putTemplate(ActionListener<Void> listener) {
    client.execute(
        PutComposableIndexTemplateAction.INSTANCE,
        new PutComposableIndexTemplateAction.Request(NAME)
            .indexTemplate(template)
            .cause("iterqr impression log"),
        ActionListener.wrap(done -> listener.onResponse(null), listener::onFailure));
  }

  private void ensureStream(ActionListener<Void> listener) {
    if (clusterService.state().metadata().dataStreams().containsKey(NAME)) {
      listener.onResponse(null);
      return;
    }
    client.execute(
        CreateDataStreamAction.INSTANCE,
        new CreateDataStreamAction.Request(NAME),
        ActionListener.wrap(
            done -> listener.onResponse(null),
            failure -> {
              if (failure instanceof ResourceAlreadyExistsException) {
                listener.onResponse(null);
              } else {
                listener.onFailure(failure);
              }
            }));
  }

  private static ComposableIndexTemplate readTemplate() {
    try (InputStream json = ImpressionStream.class.getResourceAsStream(TEMPLATE_FILE);
        XContentParser parser =
            JsonXContent.jsonXContent.createParser(
                NamedXContentRegistry.EMPTY, LoggingDeprecationHandler.INSTANCE, json)) {
      return ComposableIndexTemplate.parse(parser);
    } catch (IOException e) {
      throw new UncheckedIOException("the plugin's own " + TEMPLATE_FILE, e);
    }
  }
}
