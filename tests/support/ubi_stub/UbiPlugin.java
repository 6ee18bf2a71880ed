package org.opensearch.ubi;

import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import org.opensearch.action.ActionRequest;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.action.support.ActionFilter;
import org.opensearch.action.support.ActionFilterChain;
import org.opensearch.action.support.ActionRequestMetadata;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.action.ActionResponse;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.plugins.ActionPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.plugins.SearchPlugin;
import org.opensearch.search.SearchExtBuilder;
import org.opensearch.tasks.Task;

/**
 * Does on a node what the User Behavior Insights plugin does, as far as another plugin meets it: it registers {@code
 * ext.ubi}, writes its members without a name around them, makes a query id when the request is first serialized, and
 * appends an ext section of its own to the response's JSON.
 */
public final class UbiPlugin extends Plugin implements ActionPlugin, SearchPlugin {
  @Override
  public List<SearchExtSpec<?>> getSearchExts() {
    return List.of(new SearchExtSpec<>("ubi", Section::new, Section::parse));
  }

  @Override
  public List<ActionFilter> getActionFilters() {
    return List.of(new ResponseFilter());
  }

  static final class Section extends SearchExtBuilder {
    private String queryId;
    private final Map<String, Object> others;

    Section(String queryId, Map<String, Object> others) {
      this.queryId = queryId;
      this.others = others;
    }

    Section(StreamInput in) throws IOException {
      this(in.readString(), in.readMap());
    }

    static Section parse(XContentParser parser) throws IOException {
      Map<String, Object> members = new HashMap<>(parser.map());
      return new Section((String) members.remove("query_id"), members);
    }

    String queryId() {
      if (queryId == null) {
        queryId = UUID.randomUUID().toString();
      }
      return queryId;
    }

    @Override
    public String getWriteableName() {
      return "ubi";
    }

    @Override
    public void writeTo(StreamOutput out) throws IOException {
      out.writeString(queryId());
      out.writeMap(others);
    }

    @Override
    public XContentBuilder toXContent(XContentBuilder builder, Params params) throws IOException {
      builder.field("query_id", queryId);
      for (String key : List.of("user_query", "client_id", "application", "object_id_field", "query_attributes")) {
        builder.field(key, others.get(key));
      }
      return builder;
    }

    @Override
    public boolean equals(Object other) {
      return other instanceof Section section && Objects.equals(queryId, section.queryId);
    }

    @Override
    public int hashCode() {
      return Objects.hashCode(queryId);
    }
  }

  static final class ResponseFilter implements ActionFilter {
    @Override
    public int order() {
      return Integer.MAX_VALUE;
    }

    @Override
    public <Q extends ActionRequest, R extends ActionResponse> void apply(
        Task task,
        String action,
        Q request,
        ActionRequestMetadata<Q, R> metadata,
        ActionListener<R> listener,
        ActionFilterChain<Q, R> chain) {
      if (!(request instanceof SearchRequest search)) {
        chain.proceed(task, action, request, listener);
        return;
      }
      chain.proceed(
          task,
          action,
          request,
          ActionListener.wrap(response -> listener.onResponse(answered(search, response)), listener::onFailure));
    }

    @SuppressWarnings("unchecked")
    private static <R extends ActionResponse> R answered(SearchRequest request, R response) {
      if (request.source() != null && response instanceof SearchResponse found) {
        for (SearchExtBuilder ext : request.source().ext()) {
          if (ext instanceof Section section) {
            return (R) new Response(found, section.queryId());
          }
        }
      }
      return response;
    }
  }

  static final class Response extends SearchResponse {
    private final String queryId;

    Response(SearchResponse response, String queryId) {
      super(
          response.getInternalResponse(),
          response.getScrollId(),
          response.getTotalShards(),
          response.getSuccessfulShards(),
          response.getSkippedShards(),
          response.getTook().millis(),
          response.getShardFailures(),
          response.getClusters());
      this.queryId = queryId;
    }

    @Override
    public XContentBuilder toXContent(XContentBuilder builder, Params params) throws IOException {
      builder.startObject();
      innerToXContent(builder, params);
      builder.startObject("ext").startObject("ubi").field("query_id", queryId).endObject().endObject();
      return builder.endObject();
    }
  }
}
