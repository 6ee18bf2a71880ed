package org.iterqr.opensearch.impression;

import java.util.ArrayList;
import java.util.List;
import org.opensearch.action.DocWriteRequest;
import org.opensearch.action.bulk.BulkItemResponse;
import org.opensearch.action.bulk.BulkRequest;
import org.opensearch.action.bulk.BulkResponse;
import org.opensearch.action.index.IndexRequest;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.common.util.concurrent.ThreadContext;
import org.opensearch.common.xcontent.XContentType;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.rest.RestStatus;
import org.opensearch.transport.client.Client;

/**
 * Sends batches as bulk requests that create documents, as the node itself: no user's context, so
 * no user's rights are needed or lent.
 */
final class BulkSender implements LogSender {
  private static final TimeValue TIMEOUT = TimeValue.timeValueSeconds(30);

  private final Client client;
  private final LogIndex index;

  BulkSender(Client client, LogIndex index) {
    this.client = client;
    this.index = index;
  }

  @Override
  public void send(List<LogEntry> batch, ActionListener<Receipt> listener) {
    ThreadContext context = client.threadPool().getThreadContext();
    try (ThreadContext.StoredContext ignored = context.stashContext()) {
      index.ensure(ActionListener.wrap(ready -> bulk(batch, listener), listener::onFailure));
    }
  }

  private void bulk(List<LogEntry> batch, ActionListener<Receipt> listener) {
    BulkRequest request = new BulkRequest().timeout(TIMEOUT);
    for (LogEntry entry : batch) {
      request.add(
          new IndexRequest(index.name())
              .id(entry.id())
              .opType(DocWriteRequest.OpType.CREATE)
              .source(entry.source(), XContentType.JSON));
    }
    ThreadContext context = client.threadPool().getThreadContext();
    try (ThreadContext.StoredContext ignored = context.stashContext()) {
      client.bulk(
          request,
          ActionListener.wrap(
              response -> listener.onResponse(receipt(response)), listener::onFailure));
    }
  }

  private static Receipt receipt(BulkResponse response) {
    List<Fate> fates = new ArrayList<>();
    String error = "";
    for (BulkItemResponse item : response.getItems()) {
      Fate fate = item.isFailed() ? fate(item.getFailure().getStatus()) : Fate.WRITTEN;
      fates.add(fate);
      if (fate != Fate.WRITTEN) {
        error = item.getFailure().getCause().getClass().getSimpleName();
      }
    }
    return new Receipt(fates, error);
  }

  /**
   * @param status of a document that was not created
   * @return a conflict means that an earlier attempt wrote it; a block (read-only index, full
   *     disk), a missing index or an overloaded node may pass
   */
  static Fate fate(RestStatus status) {
    return switch (status) {
      case CONFLICT -> Fate.WRITTEN;
      case FORBIDDEN, NOT_FOUND, REQUEST_TIMEOUT, TOO_MANY_REQUESTS -> Fate.AGAIN;
      default ->
          status.getStatus() >= RestStatus.INTERNAL_SERVER_ERROR.getStatus()
              ? Fate.AGAIN
              : Fate.REFUSED;
    };
  }
}
