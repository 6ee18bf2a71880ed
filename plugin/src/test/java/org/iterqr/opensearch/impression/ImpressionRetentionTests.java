package org.iterqr.opensearch.impression;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.opensearch.action.ActionRequest;
import org.opensearch.action.ActionType;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.action.ActionResponse;
import org.opensearch.transport.client.support.AbstractClient;

class ImpressionRetentionTests {
  private static final class ThrowingClient extends AbstractClient {
    private int calls;

    ThrowingClient() {
      super(Settings.EMPTY, null);
    }

    @Override
    protected <Q extends ActionRequest, R extends ActionResponse> void doExecute(
        ActionType<R> action, Q request, ActionListener<R> listener) {
      calls++;
      throw new IllegalStateException("the node is not ready");
    }

    @Override
    public void close() {}
  }

  @Test
  void aClientThatThrowsDoesNotEndTheRetention() {
    try (ThrowingClient client = new ThrowingClient()) {
      ImpressionRetention retention = new ImpressionRetention(client, null, null);
      retention.carryOut(new RetentionPlan(true, List.of("old")));
      retention.carryOut(new RetentionPlan(false, List.of("old")));
      retention.carryOut(new RetentionPlan(true, List.of()));
      assertEquals(3, client.calls, "every plan is tried");
    }
  }
}
