package org.iterqr.opensearch.response;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.LongStream;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.experiment.Assignment;
import org.iterqr.opensearch.experiment.ExperimentBucket;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.FusionPlan;
import org.iterqr.opensearch.fusion.FusionStrategy;
import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.fusion.WindowHit;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.options.Mode;
import org.iterqr.opensearch.options.SearchOptions;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.policy.PolicyDecision;
import org.iterqr.opensearch.policy.PolicyReader;
import org.iterqr.opensearch.ubi.UbiParameters;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.opensearch.common.io.stream.BytesStreamOutput;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.ParsingException;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.xcontent.DeprecationHandler;
import org.opensearch.core.xcontent.MediaTypeRegistry;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.ToXContent;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.search.SearchExtBuilder;
import org.opensearch.search.SearchModule;

class ExtTests {
  private static final NamedXContentRegistry QUERIES =
      new NamedXContentRegistry(new SearchModule(Settings.EMPTY, List.of()).getNamedXContents());

  private static RequestExt parse(String json) throws IOException {
    return parse(json, false);
  }

  private static RequestExt parse(String json, boolean takesEventTime) throws IOException {
    try (var parser =
        JsonXContent.jsonXContent.createParser(
            QUERIES, DeprecationHandler.THROW_UNSUPPORTED_OPERATION, json.replace('\'', '"'))) {
      return RequestExt.parse(parser, takesEventTime);
    }
  }

  private static SearchExtBuilder sentAndRead(SearchExtBuilder ext) throws IOException {
    try (BytesStreamOutput out = new BytesStreamOutput()) {
      ext.writeTo(out);
      return IterqrExt.spec(true).getReader().read(out.bytes().streamInput());
    }
  }

  private static final SearchOptions PIPELINE =
      new SearchOptions(
          Mode.FUSE,
          300,
          50,
          3,
          "south",
          "acme",
          Optional.empty(),
          Optional.empty(),
          Optional.empty());

  @Test
  void readsTheRequestsSection() throws IOException {
    RequestExt ext =
        parse(
            "{'region':'north','page_token':'token','query':'text','mode':'shadow',"
                + "'window_size':20,'budget_ms':100,'max_rewrites':2,'fusion':'append'}");
    assertEquals(Optional.of("token"), ext.pageToken());
    assertEquals("text", ext.query());
    assertEquals(
        new SearchOptions(
            Mode.SHADOW,
            100,
            20,
            2,
            "north",
            "acme",
            Optional.of(FusionStrategy.APPEND),
            Optional.empty(),
            Optional.empty()),
        ext.over(PIPELINE));
    assertEquals(RequestExt.NONE, parse("{}"));
    assertEquals(RequestExt.NONE, parse("{'region':null}"));
    assertEquals(PIPELINE, RequestExt.NONE.over(PIPELINE));
  }

  @Test
  void aRequestsPolicyAndTemplateTakeThePlaceOfThePipelines() throws IOException {
    RequestExt ext =
        parse(
            "{'policy':{'policy_version':1,'policy_id':'mine','confidence_factor':[[0,0.5],[1,1]]},"
                + "'rewrite_query':{'match':{'body':{'query':'{{rewrite}}','boost':2}}}}");
    for (RequestExt each : List.of(ext, (RequestExt) sentAndRead(ext))) {
      SearchOptions options = each.over(PIPELINE);
      assertEquals(PolicyDecision.Source.REQUEST, options.policy().orElseThrow().source());
      assertEquals("mine", options.policy().orElseThrow().policy().id());
      assertEquals(0.5, options.policy().orElseThrow().policy().confidence().at(0));
      assertEquals(
          Map.of("match", Map.of("body", Map.of("query", "{{rewrite}}", "boost", 2))),
          options.rewriteQuery().orElseThrow().query());
    }
  }

  @Test
  void refusesPoliciesAndTemplatesAsAPipelineDoes() {
    Map<String, String> refused =
        Map.of(
            "{'policy':{'policy_id':'x'}}",
            "policy_version",
            "{'policy':{'policy_version':1,'policy_id':'x','max_rewrites':99}}",
            "max_rewrites",
            "{'policy':{'policy_version':1,'policy_id':'x','colour':1}}",
            "colour",
            "{'rewrite_query':{'match':{'a':'b'}}}",
            "must have {{rewrite}}",
            "{'rewrite_query':{'match':{'a':'x {{rewrite}}'}}}",
            "match.a",
            "{'rewrite_query':{'match':{'a':{'query':'{{rewrite}}','colour':1}}}}",
            "must be a query",
            "{'rewrite_query':{'match':{'" + "a".repeat(17_000) + "':'{{rewrite}}'}}}",
            "16384 bytes");
    refused.forEach(
        (json, what) -> {
          Exception e = assertThrows(ParsingException.class, () -> parse(json));
          String key = json.startsWith("{'policy") ? "policy" : "rewrite_query";
          assertTrue(e.getMessage().contains("[ext.iterqr." + key + "]"), e.getMessage());
          assertTrue(e.getMessage().contains(what), e.getMessage());
        });
  }

  @Test
  void switchedOffIsOffWhateverTheMode() throws IOException {
    assertEquals(Mode.OFF, parse("{'enabled':false,'mode':'fuse'}").over(PIPELINE).mode());
    assertEquals(Mode.FUSE, parse("{'enabled':true}").over(PIPELINE).mode());
    assertEquals(Mode.OFF, parse("{'mode':'off'}").over(PIPELINE).mode());
  }

  @ParameterizedTest
  @CsvSource({
    "mode, 'on'",
    "mode, 7",
    "fusion, 'sum'",
    "enabled, 'yes'",
    "window_size, 0",
    "window_size, 1001",
    "window_size, 2.5",
    "window_size, many",
    "window_size, 99999999999",
    "budget_ms, 9",
    "budget_ms, 60001",
    "max_rewrites, 0",
    "max_rewrites, 9",
    "region, 7",
    "page_token, true",
    "policy, 7",
    "policy, careful",
    "rewrite_query, 7",
    "rewrite_query, soup",
    "query, {}"
  })
  void refusesEachKeyByName(String key, String value) {
    boolean text = value.matches("[a-z]+") && !value.equals("true");
    String json = "{'" + key + "':" + (text ? "'" + value + "'" : value) + "}";
    ParsingException refused = assertThrows(ParsingException.class, () -> parse(json));
    assertTrue(refused.getMessage().contains("ext.iterqr." + key), refused.getMessage());
  }

  @Test
  void refusesWhatItDoesNotKnowByName() {
    for (String json : List.of("{'regoin':'n'}", "{'region':7}", "{'query':['a']}", "7", "[]")) {
      ParsingException refused = assertThrows(ParsingException.class, () -> parse(json));
      assertTrue(refused.getMessage().contains("ext.iterqr"), refused.getMessage());
    }
  }

  @ParameterizedTest
  @CsvSource({
    "'2026-01-02T03:04:05.678Z', 2026-01-02T03:04:05.678Z",
    "'2026-01-02T05:04:05.678999+02:00', 2026-01-02T03:04:05.678Z",
    "1767323045678, 2026-01-02T03:04:05.678Z",
    "0, 1970-01-01T00:00:00Z",
    "'9999-12-31T23:59:59.999999Z', 9999-12-31T23:59:59.999Z"
  })
  void aDevelopmentNodeIsToldWhenTheSearchHappened(String told, Instant time) throws IOException {
    String value = told.contains("T") ? "'" + told + "'" : told;
    RequestExt ext = parse("{'event_time':" + value + "}", true);
    assertEquals(Optional.of(time), ext.eventTime());
    assertEquals(ext, sentAndRead(ext));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "'yesterday'",
        "'2026-01-02'",
        "'2026-01-02T03:04:05'",
        "'1969-12-31T23:59:59.999Z'",
        "'+10000-01-01T00:00:00Z'",
        "-1",
        "253402300800000",
        "99999999999999999999999",
        "1.5",
        "true",
        "{}"
      })
  void refusesATimeThatIsNone(String value) {
    ParsingException refused =
        assertThrows(ParsingException.class, () -> parse("{'event_time':" + value + "}", true));
    assertTrue(refused.getMessage().contains("[ext.iterqr.event_time]"), refused.getMessage());
    assertTrue(refused.getMessage().contains("1970 to 9999"), refused.getMessage());
  }

  @Test
  void elsewhereThereIsNoEventTime() throws IOException {
    ParsingException refused =
        assertThrows(ParsingException.class, () -> parse("{'event_time':0}", false));
    assertTrue(refused.getMessage().contains("no key [event_time]"), refused.getMessage());
    assertEquals(Optional.empty(), RequestExt.NONE.eventTime());
  }

  @Test
  void bothSectionsTravelUnderOneName() throws IOException {
    RequestExt request = parse("{'region':'north','query':'text','window_size':7}");
    assertEquals(request, sentAndRead(request));
    ResponseExt response = summary().toExt();
    assertEquals(response, sentAndRead(response));
    assertEquals(request.getWriteableName(), response.getWriteableName());
  }

  @Test
  void theResponsesSectionHasTheContractsKeys() throws IOException {
    Map<String, Object> section;
    try (XContentBuilder builder = JsonXContent.contentBuilder().startObject()) {
      summary().toExt().toXContent(builder, ToXContent.EMPTY_PARAMS).endObject();
      section =
          XContentHelper.convertToMap(BytesReference.bytes(builder), true, MediaTypeRegistry.JSON)
              .v2();
    }
    Map<?, ?> iterqr = (Map<?, ?>) section.get("iterqr");
    assertEquals(
        List.of(
            "query_id",
            "outcome",
            "experiment",
            "mode",
            "query",
            "checkpoint_id",
            "fix",
            "intent",
            "meaning",
            "hints",
            "rewrites",
            "source",
            "partial",
            "window_size",
            "fusion",
            "policy",
            "page_token",
            "timings"),
        List.copyOf(iterqr.keySet()));
    assertEquals("q1", iterqr.get("query_id"));
    assertEquals("fused", iterqr.get("outcome"));
    assertEquals(Map.of("name", "exp", "bucket", "treatment"), iterqr.get("experiment"));
    assertEquals(
        List.of(
            Map.of(
                "rewrite_id",
                "00000000000000aa",
                "text",
                "soup",
                "confidence",
                0.5,
                "retrieved",
                2,
                "weight",
                0.25,
                "overlap",
                0.5)),
        iterqr.get("rewrites"));
    assertEquals(
        Map.of("rewrite_ms", 1.5, "windows_ms", 2.0, "total_ms", 4.25, "added_ms", 1.25),
        iterqr.get("timings"));
  }

  @Test
  void whatWasNotFusedRetrievedNothingThatIsKnown() {
    SearchSummary fused = summary();
    SearchSummary late =
        new SearchSummary(
            fused.identity(),
            Outcome.TIMEOUT,
            fused.mode(),
            fused.query(),
            fused.reply(),
            Optional.empty(),
            fused.windowSize(),
            "",
            fused.timings(),
            List.of());
    assertEquals(
        List.of(Map.of("rewrite_id", "00000000000000aa", "text", "soup", "confidence", 0.5)),
        late.toExt().content().get("rewrites"));
  }

  private static SearchSummary summary() {
    Rewrite rewrite = new Rewrite("00000000000000aa", "soup", 0.5);
    Window original = window(new Channel.Original(), 1, 2);
    Window rewritten = window(new Channel.Rewritten(rewrite), 3, 1);
    PolicyDecision policy =
        PolicyDecision.decide(
            PolicyReader.byDefault(),
            PolicyDecision.Source.DEFAULT,
            4,
            List.of(rewrite),
            List.of(original, rewritten));
    FusionPlan plan =
        new FusionPlan(FusionStrategy.RRF, 1, Map.of("00000000000000aa", 0.25), 60, 10, 7);
    UbiParameters ubi = UbiParameters.NONE.withQueryId("q1");
    return new SearchSummary(
        new SearchIdentity(ubi, false, "north", new Assignment("exp", ExperimentBucket.TREATMENT)),
        Outcome.FUSED,
        Mode.FUSE,
        "soop",
        RewriteReply.pinned("ck", List.of(rewrite)),
        Optional.of(new FusionFacts(plan, List.of(original, rewritten), Optional.of(policy))),
        50,
        "token",
        new Timings(1_500_000, 2_000_000, Timings.NOT_REACHED, 4_250_000, 1_250_000),
        List.of());
  }

  private static Window window(Channel channel, long... seqNos) {
    List<WindowHit> hits =
        LongStream.of(seqNos)
            .mapToObj(seqNo -> new WindowHit(new HitKey("dishes", 0, seqNo), 1))
            .toList();
    return Window.whole(channel, hits);
  }
}
