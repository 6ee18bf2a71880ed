package org.iterqr.opensearch.ubi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.common.io.stream.BytesStreamOutput;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.ParsingException;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.xcontent.DeprecationHandler;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.search.SearchExtBuilder;
import org.opensearch.search.builder.SearchSourceBuilder;

class UbiExtTests {
  private static final String FULL =
      "{'query_id':'q1','user_query':'soop','client_id':'c1','application':'shop',"
          + "'object_id_field':'sku','query_attributes':{'page':2,'tags':['a']},'later_key':{}}";
  private static final UbiParameters PARAMETERS =
      new UbiParameters("q1", "soop", "c1", "shop", "sku", Map.of("page", 2, "tags", List.of("a")));

  private static UbiExt parse(String json) throws IOException {
    try (var parser =
        JsonXContent.jsonXContent.createParser(
            NamedXContentRegistry.EMPTY,
            DeprecationHandler.THROW_UNSUPPORTED_OPERATION,
            json.replace('\'', '"'))) {
      return UbiExt.parse(parser);
    }
  }

  private static UbiExt.Found find(SearchExtBuilder ext) throws IOException {
    return UbiExt.find(new SearchRequest().source(new SearchSourceBuilder().ext(List.of(ext))));
  }

  /**
   * Writes what the UBI plugin's section writes: its members alone, absent ones as null; and makes
   * its query id when it is serialized.
   */
  private static final class Foreign extends SearchExtBuilder {
    private final Object userQuery;
    private final String clientId;
    private final boolean isNamed;
    private String queryId;

    Foreign(Object userQuery, String clientId, boolean isNamed) {
      this.userQuery = userQuery;
      this.clientId = clientId;
      this.isNamed = isNamed;
    }

    @Override
    public XContentBuilder toXContent(XContentBuilder builder, Params params) throws IOException {
      if (isNamed) {
        builder.startObject("ubi");
      }
      builder
          .field("query_id", queryId)
          .field("user_query", userQuery)
          .field("client_id", clientId);
      builder.nullField("application").nullField("query_attributes");
      return isNamed ? builder.endObject() : builder;
    }

    @Override
    public String getWriteableName() {
      return "ubi";
    }

    @Override
    public void writeTo(StreamOutput out) {
      queryId = "q1";
    }

    @Override
    public boolean equals(Object other) {
      return other == this;
    }

    @Override
    public int hashCode() {
      return 1;
    }
  }

  @Test
  void readsWhatTheSpecificationNames() throws IOException {
    assertEquals(new UbiExt(PARAMETERS), parse(FULL));
    assertEquals(new UbiExt(UbiParameters.NONE), parse("{}"));
    assertEquals(new UbiExt(UbiParameters.NONE), parse("{'client_id':null,'user_query':null}"));
    assertEquals("7", find(parse("{'query_id':7}")).parameters().queryId());
    assertEquals("soop", find(parse("{'user_query':{'text':'soop'}}")).parameters().userQuery());
  }

  @Test
  void refusesWhatIsMalformedByName() {
    Map<String, String> wrong =
        Map.of(
            "{'query_id':['a']}",
            "ext.ubi.query_id",
            "{'client_id':{'a':1}}",
            "ext.ubi.client_id",
            "{'application':true}",
            "ext.ubi.application",
            "{'user_query':['a']}",
            "ext.ubi.user_query",
            "{'query_attributes':'a'}",
            "ext.ubi.query_attributes",
            "{'object_id_field':'" + "f".repeat(101) + "'}",
            "100 characters",
            "'q1'",
            "must be an object");
    wrong.forEach(
        (json, told) -> {
          ParsingException refused = assertThrows(ParsingException.class, () -> parse(json));
          assertTrue(refused.getMessage().contains(told), refused.getMessage());
        });
  }

  @Test
  void travelsBetweenNodes() throws IOException {
    UbiExt ext = parse(FULL);
    try (BytesStreamOutput out = new BytesStreamOutput()) {
      ext.writeTo(out);
      assertEquals(ext, UbiExt.spec().getReader().read(out.bytes().streamInput()));
    }
  }

  @Test
  void anotherPluginsSectionIsReadByWhatItWrites() throws IOException {
    UbiParameters expected = new UbiParameters("q1", "soop", "c1", "", "", Map.of());
    for (Object userQuery : List.of("soop", Map.of("text", "soop"))) {
      for (boolean isNamed : List.of(true, false)) {
        assertEquals(new UbiExt.Found(expected, true), find(new Foreign(userQuery, "c1", isNamed)));
      }
    }
    UbiParameters tooLong = find(new Foreign(null, "c".repeat(101), false)).parameters();
    assertEquals(new UbiParameters("q1", "", "", "", "", Map.of()), tooLong);
  }

  @Test
  void theUbiPluginIsRecognisedByItsClass(@TempDir Path plugins) throws IOException {
    assertFalse(UbiPlugin.isIn(plugins.resolve("none")));
    assertFalse(UbiPlugin.isIn(plugins));
    Path other = Files.createDirectory(plugins.resolve("iterqr"));
    Files.writeString(
        other.resolve("plugin-descriptor.properties"),
        "classname=org.iterqr.opensearch.IterqrPlugin\n");
    assertFalse(UbiPlugin.isIn(plugins));
    Path ubi = Files.createDirectory(plugins.resolve("opensearch-ubi"));
    Files.writeString(
        ubi.resolve("plugin-descriptor.properties"),
        "name=opensearch-ubi\nclassname=org.opensearch.ubi.UbiPlugin\n");
    assertTrue(UbiPlugin.isIn(plugins));
  }
}
