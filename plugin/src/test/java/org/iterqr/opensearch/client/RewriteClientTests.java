package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.rpc.Code;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.rewrite.v1.RewriteQueryResponse;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.action.ActionListener;

/** The client against gRPC servers on sockets. */
@Timeout(60)
class RewriteClientTests {
  private static final Settings UNCACHED =
      Settings.builder().put("plugins.iterqr.client.cache.enabled", false).build();
  private static final Settings HASTY =
      Settings.builder()
          .put(UNCACHED)
          .put("plugins.iterqr.client.breaker.minimum_calls", 3)
          .put("plugins.iterqr.client.breaker.open_time", "50ms")
          .put("plugins.iterqr.client.breaker.probes", 1)
          .put("plugins.iterqr.client.breaker.minimum_timeout", "10ms")
          .build();

  private final ExecutorService executor = Executors.newCachedThreadPool();
  private final List<AutoCloseable> open = new ArrayList<>();
  private RewriteClient client;
  private ClusterSettings clusterSettings;

  @AfterEach
  void close() throws Exception {
    client.close();
    for (AutoCloseable each : open) {
      each.close();
    }
    executor.shutdownNow();
  }

  private TestServer server(TestServer.Answer answer) throws IOException {
    TestServer server = new TestServer(answer);
    open.add(server);
    return server;
  }

  private static Settings settings(Settings base, TestServer... servers) {
    String endpoints =
        Arrays.stream(servers)
            .map(server -> server.endpoint().toString())
            .collect(Collectors.joining(","));
    return Settings.builder().put(base).put("plugins.iterqr.server.endpoints", endpoints).build();
  }

  /** A client that is connected to all of the servers. */
  private void connect(Settings base, TestServer... servers) {
    Settings settings = settings(base, servers);
    client = new RewriteClient(settings, Path.of(""), executor);
    clusterSettings = new ClusterSettings(settings, new java.util.HashSet<>(ClientSettings.ALL));
    client.follow(clusterSettings);
    eventually(
        () -> client.stats().replicas().stream().allMatch(each -> each.standing().equals("ready")));
  }

  private static void eventually(BooleanSupplier holds) {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    while (!holds.getAsBoolean()) {
      assertTrue(System.nanoTime() < deadline, "did not happen in time");
      Thread.onSpinWait();
    }
  }

  private CompletableFuture<RewriteReply> start(String query, long deadlineMs) {
    CompletableFuture<RewriteReply> future = new CompletableFuture<>();
    client.rewrite(
        new RewriteCall(query, "", "", 3, deadlineMs, TraceContext.of(null, null)),
        ActionListener.wrap(future::complete, future::completeExceptionally));
    return future;
  }

  /** The first rewrite's text, or the outcome. */
  private String ask(long deadlineMs) throws InterruptedException {
    try {
      return start("pad tai", deadlineMs).get().rewrites().getFirst().text();
    } catch (ExecutionException e) {
      return ((RewriteCallException) e.getCause()).outcome().wireName();
    }
  }

  private ClientStats.ReplicaStats replica(int place) {
    return client.stats().replicas().get(place);
  }

  @Test
  void replicasTakeTurns() throws Exception {
    TestServer one = server(TestServer.rewrites("one"));
    TestServer two = server(TestServer.rewrites("two"));
    connect(UNCACHED, one, two);
    for (int i = 0; i < 10; i++) {
      ask(5_000);
    }
    assertEquals(5, one.calls());
    assertEquals(5, two.calls());
    assertEquals(5, replica(0).succeeded());
    assertEquals(0, client.stats().inFlight());
  }

  @Test
  void aReplicaThatNeverAnswersIsLeftAloneUntilItDoes() throws Exception {
    TestServer frozen = server(TestServer.SILENT);
    TestServer well = server(TestServer.rewrites("well"));
    connect(HASTY, frozen, well);
    List<String> answers = new ArrayList<>();
    while (!replica(0).breaker().equals("open")) {
      answers.add(ask(100));
    }
    assertEquals(3, answers.stream().filter("timeout"::equals).count());
    assertEquals(3, replica(0).failed().get(Outcome.TIMEOUT));
    frozen.answer(TestServer.rewrites("thawed"));
    eventually(
        () -> {
          start("pad tai", 1_000).join();
          return replica(0).breaker().equals("closed");
        });
    assertTrue(replica(0).succeeded() > 0);
  }

  @Test
  void aCallThatFindsItsReplicaGoneGoesToAnother() throws Exception {
    TestServer gone = server(TestServer.fails(Status.UNAVAILABLE));
    TestServer well = server(TestServer.rewrites("well"));
    connect(UNCACHED, gone, well);
    for (int i = 0; i < 30; i++) {
      assertEquals("well", ask(5_000));
    }
    assertEquals(10, gone.calls(), "then its breaker opened");
    assertEquals(30, well.calls());
  }

  @Test
  void withoutAnotherReplicaTheOutcomeIsNamed() throws Exception {
    TestServer gone = server(TestServer.fails(Status.UNAVAILABLE));
    connect(HASTY, gone);
    assertEquals("unavailable", ask(5_000));
    assertEquals("unavailable", ask(5_000));
    assertEquals("unavailable", ask(5_000));
    assertEquals("breaker_open", ask(5_000));
    assertEquals(1, client.stats().notAsked().get(Outcome.BREAKER_OPEN));
    assertEquals(3, gone.calls());
  }

  @Test
  void refusalsDoNotOpenTheBreakerButPauses() throws Exception {
    TestServer full = server(TestServer.fails(Status.RESOURCE_EXHAUSTED));
    connect(HASTY, full);
    for (int i = 0; i < 10; i++) {
      assertEquals("rejected", ask(5_000));
    }
    assertEquals("closed", replica(0).breaker());
    RetryInfo retry =
        RetryInfo.newBuilder().setRetryDelay(Duration.newBuilder().setSeconds(60)).build();
    com.google.rpc.Status status =
        com.google.rpc.Status.newBuilder()
            .setCode(Code.RESOURCE_EXHAUSTED_VALUE)
            .addDetails(Any.pack(retry))
            .build();
    full.answer(
        (request, observer) -> observer.onError(StatusProto.toStatusRuntimeException(status)));
    assertEquals("rejected", ask(5_000));
    assertEquals("paused", replica(0).standing());
    assertEquals("rejected", ask(5_000));
    assertEquals(11, full.calls());
    assertEquals(1, client.stats().notAsked().get(Outcome.REJECTED));
  }

  @Test
  void aReplicaThatSaysItDoesNotServeIsNotAsked() throws Exception {
    TestServer one = server(TestServer.rewrites("one"));
    TestServer two = server(TestServer.rewrites("two"));
    connect(UNCACHED, one, two);
    one.serving(false);
    eventually(() -> replica(0).standing().equals("not_serving"));
    for (int i = 0; i < 4; i++) {
      assertEquals("two", ask(5_000));
    }
    one.serving(true);
    eventually(() -> replica(0).standing().equals("ready"));
  }

  @Test
  void aLostServerIsFoundAgain() throws Exception {
    TestServer lost = server(TestServer.rewrites("one"));
    connect(HASTY, lost);
    assertEquals("one", ask(5_000));
    int port = lost.endpoint().port();
    lost.close();
    eventually(() -> replica(0).standing().equals("unreachable"));
    for (int i = 0; i < 5; i++) {
      assertTrue(List.of("unavailable", "breaker_open").contains(ask(500)));
    }
    TestServer back = new TestServer(TestServer.rewrites("back"), port);
    open.add(back);
    eventually(
        () -> {
          try {
            return ask(1_000).equals("back");
          } catch (InterruptedException e) {
            throw new IllegalStateException(e);
          }
        });
  }

  @Test
  void aNameIsResolved() throws Exception {
    TestServer one = server(TestServer.rewrites("one"));
    Settings named =
        Settings.builder()
            .put(UNCACHED)
            .put("plugins.iterqr.server.endpoints", "localhost:" + one.endpoint().port())
            .build();
    client = new RewriteClient(named, Path.of(""), executor);
    assertEquals("one", ask(10_000));
  }

  @Test
  void noMoreCallsWaitThanTheLimit() throws Exception {
    BlockingQueue<StreamObserver<RewriteQueryResponse>> waiting = new LinkedBlockingQueue<>();
    TestServer slow = server((request, observer) -> waiting.add(observer));
    connect(
        Settings.builder().put(UNCACHED).put("plugins.iterqr.client.max_in_flight", 2).build(),
        slow);
    CompletableFuture<RewriteReply> first = start("a", 10_000);
    CompletableFuture<RewriteReply> second = start("b", 10_000);
    assertEquals(2, client.stats().inFlight());
    assertEquals("overloaded", ask(10_000));
    for (int i = 0; i < 2; i++) {
      StreamObserver<RewriteQueryResponse> observer = waiting.take();
      observer.onNext(TestServer.reply("late").build());
      observer.onCompleted();
    }
    first.get();
    second.get();
    assertEquals(0, client.stats().inFlight());
    slow.answer(TestServer.rewrites("again"));
    assertEquals("again", ask(10_000));
  }

  @Test
  void endpointsChangeWhileCallsAreMade() throws Exception {
    TestServer one = server(TestServer.rewrites("one"));
    TestServer two = server(TestServer.rewrites("two"));
    connect(UNCACHED, one);
    List<CompletableFuture<RewriteReply>> replies = new ArrayList<>();
    for (int i = 0; i < 200; i++) {
      replies.add(start("pad tai", 10_000));
      if (i % 20 == 10) {
        clusterSettings.applySettings(settings(UNCACHED, i % 40 == 10 ? two : one));
      }
    }
    for (CompletableFuture<RewriteReply> reply : replies) {
      reply.get();
    }
    assertEquals(List.of(one.endpoint().toString()), endpoints());
    clusterSettings.applySettings(settings(UNCACHED, one, two));
    assertEquals(List.of(one.endpoint().toString(), two.endpoint().toString()), endpoints());
    assertTrue(replica(0).succeeded() > 0, "the one that stayed keeps what is known of it");
  }

  @Test
  void aWrongEndpointChangesNothing() throws Exception {
    TestServer one = server(TestServer.rewrites("one"));
    connect(UNCACHED, one);
    Settings wrong = Settings.builder().put("plugins.iterqr.server.endpoints", "nowhere").build();
    assertThrows(IllegalArgumentException.class, () -> clusterSettings.applySettings(wrong));
    assertEquals("one", ask(5_000));
  }

  @Test
  void aReplyIsKeptOnTheNode() throws Exception {
    TestServer one = server(TestServer.rewrites("one"));
    TestServer two = server(TestServer.rewrites("two"));
    connect(Settings.EMPTY, one);
    assertEquals(ReplySource.GENERATED, start("pad tai", 5_000).get().source());
    RewriteReply again = start(" Pad  Tai", 5_000).get();
    assertEquals(ReplySource.NODE_CACHE, again.source());
    assertEquals("one", again.rewrites().getFirst().text());
    assertEquals(1, one.calls());
    assertEquals(1, client.stats().cache().hits());
    clusterSettings.applySettings(settings(Settings.EMPTY, two));
    assertEquals("two", ask(5_000));
    clusterSettings.applySettings(settings(UNCACHED, two));
    assertEquals("two", ask(5_000));
    assertEquals(2, two.calls());
  }

  @Test
  void aPartialReplyIsNotKept() throws Exception {
    TestServer late =
        server(
            (request, observer) -> {
              observer.onNext(
                  TestServer.reply("one")
                      .setOutcome(org.iterqr.rewrite.v1.Outcome.OUTCOME_PARTIAL)
                      .build());
              observer.onCompleted();
            });
    connect(Settings.EMPTY, late);
    assertTrue(start("pad tai", 5_000).get().isPartial());
    assertTrue(start("pad tai", 5_000).get().isPartial());
    assertEquals(2, late.calls());
  }

  @Test
  void equalCallsAtTheSameTimeMakeOne() throws Exception {
    BlockingQueue<StreamObserver<RewriteQueryResponse>> waiting = new LinkedBlockingQueue<>();
    TestServer slow = server((request, observer) -> waiting.add(observer));
    connect(Settings.EMPTY, slow);
    List<CompletableFuture<RewriteReply>> replies = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      replies.add(start("pad tai", 10_000));
    }
    StreamObserver<RewriteQueryResponse> observer = waiting.take();
    observer.onNext(TestServer.reply("pad thai").build());
    observer.onCompleted();
    for (CompletableFuture<RewriteReply> reply : replies) {
      assertEquals("pad thai", reply.get().rewrites().getFirst().text());
    }
    assertEquals(ReplySource.GENERATED, replies.getFirst().get().source());
    assertEquals(ReplySource.NODE_COALESCED, replies.getLast().get().source());
    assertEquals(1, slow.calls());
    assertEquals(99, client.stats().coalesced());
  }

  @Test
  void aFrozenServerIsFoundOutByOneQueryThatManySearchFor() throws Exception {
    TestServer frozen = server(TestServer.SILENT);
    connect(
        Settings.builder().put(HASTY).put("plugins.iterqr.client.cache.enabled", true).build(),
        frozen);
    int searches = 0;
    while (!replica(0).breaker().equals("open")) {
      start("pad tai", 100);
      searches++;
      Thread.sleep(1);
    }
    assertTrue(frozen.calls() <= 10, () -> frozen.calls() + " calls");
    assertTrue(searches > frozen.calls());
  }

  @Test
  void whoHasTimeLeftAsksAgainWhenTheSharedCallRanOutOfIt() throws Exception {
    TestServer slow = server(TestServer.SILENT);
    connect(Settings.EMPTY, slow);
    CompletableFuture<RewriteReply> hasty = start("pad tai", 1_000);
    CompletableFuture<RewriteReply> patient = start("pad tai", 10_000);
    eventually(() -> slow.calls() == 1);
    slow.answer(TestServer.rewrites("late"));
    assertThrows(ExecutionException.class, hasty::get);
    assertEquals("late", patient.get().rewrites().getFirst().text());
    assertEquals(2, slow.calls());
  }

  private List<String> endpoints() {
    return client.stats().replicas().stream().map(ClientStats.ReplicaStats::endpoint).toList();
  }
}
