package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.grpc.Status;
import io.grpc.netty.shaded.io.netty.handler.codec.http2.Http2Error;
import io.grpc.netty.shaded.io.netty.handler.codec.http2.Http2Exception;
import org.iterqr.opensearch.outcome.Outcome;
import org.junit.jupiter.api.Test;

class CallOutcomeTests {
  @Test
  void namesEveryStatus() {
    assertEquals(Outcome.TIMEOUT, CallOutcome.of(Status.DEADLINE_EXCEEDED));
    assertEquals(Outcome.UNAVAILABLE, CallOutcome.of(Status.UNAVAILABLE));
    assertEquals(Outcome.REJECTED, CallOutcome.of(Status.INVALID_ARGUMENT));
    assertEquals(
        Outcome.REJECTED, CallOutcome.of(Status.RESOURCE_EXHAUSTED.withDescription("queue full")));
    assertEquals(Outcome.BAD_REPLY, CallOutcome.of(Status.UNIMPLEMENTED));
    assertEquals(Outcome.BAD_REPLY, CallOutcome.of(Status.INTERNAL));
    assertEquals(Outcome.BAD_REPLY, CallOutcome.of(Status.CANCELLED));
  }

  @Test
  void anOversizedReplyIsABadOne() {
    assertEquals(
        Outcome.BAD_REPLY,
        CallOutcome.of(
            Status.RESOURCE_EXHAUSTED.withDescription(
                "gRPC message exceeds maximum size 262144: 900000")));
  }

  @Test
  void aPortThatSpeaksNoHttp2IsNoServer() {
    Exception fault = new Http2Exception(Http2Error.PROTOCOL_ERROR, "not SETTINGS");
    assertEquals(Outcome.UNAVAILABLE, CallOutcome.of(Status.INTERNAL.withCause(fault)));
    assertEquals(
        Outcome.UNAVAILABLE,
        CallOutcome.of(Status.UNKNOWN.withCause(new IllegalStateException(fault))));
  }

  @Test
  void onlyWhatAHealthyServerWouldNotDoCountsAgainstIt() {
    assertEquals(CallVerdict.FAILURE, CallOutcome.verdict(Outcome.UNAVAILABLE, true, 1, 100));
    assertEquals(CallVerdict.FAILURE, CallOutcome.verdict(Outcome.BAD_REPLY, true, 1, 100));
    assertEquals(CallVerdict.FAILURE, CallOutcome.verdict(Outcome.TIMEOUT, false, 100, 100));
    assertEquals(CallVerdict.NEUTRAL, CallOutcome.verdict(Outcome.TIMEOUT, false, 99, 100));
    assertEquals(CallVerdict.ALIVE, CallOutcome.verdict(Outcome.TIMEOUT, true, 100, 100));
    assertEquals(CallVerdict.ALIVE, CallOutcome.verdict(Outcome.TIMEOUT, true, 99, 100));
    assertEquals(CallVerdict.ALIVE, CallOutcome.verdict(Outcome.REJECTED, true, 100, 100));
    assertEquals(CallVerdict.NEUTRAL, CallOutcome.verdict(Outcome.REJECTED, false, 100, 100));
  }
}
