package org.iterqr.opensearch.response;

import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.iterqr.opensearch.eventtime.EventTime;
import org.iterqr.opensearch.fusion.FusionStrategy;
import org.iterqr.opensearch.options.Mode;
import org.iterqr.opensearch.options.SearchOptions;
import org.iterqr.opensearch.options.WholeOption;
import org.iterqr.opensearch.policy.PolicyDecision;
import org.iterqr.opensearch.policy.PolicyInForce;
import org.iterqr.opensearch.policy.PolicyReader;
import org.iterqr.opensearch.query.RewriteTemplate;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.ParsingException;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.common.io.stream.StreamInput;
import org.opensearch.core.common.io.stream.StreamOutput;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.search.SearchExtBuilder;

/**
 * {@code ext.iterqr} of a search request: options in place of the pipeline's ({@code mode}, {@code
 * window_size}, {@code budget_ms}, {@code max_rewrites}, {@code fusion}, {@code region}, {@code
 * policy}, {@code rewrite_query}, {@code enabled}), the {@code page_token} of a first page, {@code
 * query}, the user's text where the query does not have it as such, and on development nodes {@code
 * event_time}. Checked when it is parsed; what it carries is JSON values, since a request is copied
 * by writing and reading it.
 */
public final class RequestExt extends SearchExtBuilder {
  /** Where no ext was sent. */
  public static final RequestExt NONE = new RequestExt(Map.of());

  private static final String ENABLED = "enabled";
  private static final String MODE = "mode";
  private static final String FUSION = "fusion";
  private static final String REGION = "region";
  private static final String PAGE_TOKEN = "page_token";
  private static final String QUERY = "query";
  private static final String EVENT_TIME = "event_time";
  private static final String POLICY = "policy";
  private static final String REWRITE_QUERY = "rewrite_query";

  /** Of a policy or a template: they are read for each search. */
  private static final int MAX_OBJECT_BYTES = 16_384;

  private static final List<WholeOption> WHOLE =
      List.of(WholeOption.WINDOW_SIZE, WholeOption.BUDGET_MS, WholeOption.MAX_REWRITES);
  private static final List<String> KEYS =
      List.of(
          REGION,
          PAGE_TOKEN,
          QUERY,
          ENABLED,
          MODE,
          FUSION,
          POLICY,
          REWRITE_QUERY,
          WholeOption.WINDOW_SIZE.key(),
          WholeOption.BUDGET_MS.key(),
          WholeOption.MAX_REWRITES.key());

  /** Strings, whole numbers, truth values and objects by key; absent keys are absent. */
  private final Map<String, Object> values;

  private RequestExt(Map<String, Object> values) {
    this.values = values;
  }

  RequestExt(StreamInput in) throws IOException {
    this(in.readMap());
  }

  /**
   * @param request any search
   * @return its section, or {@link #NONE}
   */
  public static RequestExt of(SearchRequest request) {
    if (request.source() != null && request.source().ext() != null) {
      for (SearchExtBuilder ext : request.source().ext()) {
        if (ext instanceof RequestExt requestExt) {
          return requestExt;
        }
      }
    }
    return NONE;
  }

  /**
   * @param parser at the section's value
   * @param takesEventTime whether there is a key {@code event_time}
   * @return the section
   * @throws IOException if it is not JSON
   * @throws ParsingException naming an unknown key, or a value and what it must be
   */
  static RequestExt parse(XContentParser parser, boolean takesEventTime) throws IOException {
    if (parser.currentToken() == null) {
      parser.nextToken();
    }
    if (parser.currentToken() != XContentParser.Token.START_OBJECT) {
      throw new ParsingException(parser.getTokenLocation(), "[ext.iterqr] must be an object");
    }
    List<String> known = keys(takesEventTime);
    Map<String, Object> values = new LinkedHashMap<>();
    String key = null;
    for (XContentParser.Token token = parser.nextToken();
        token != XContentParser.Token.END_OBJECT;
        token = parser.nextToken()) {
      if (token == XContentParser.Token.FIELD_NAME) {
        key = parser.currentName();
        if (!known.contains(key)) {
          throw new ParsingException(
              parser.getTokenLocation(),
              "[ext.iterqr] has no key [" + key + "]; known are " + known);
        }
      } else if (token != XContentParser.Token.VALUE_NULL) {
        values.put(key, value(key, token, parser));
      }
    }
    return values.isEmpty() ? NONE : new RequestExt(values);
  }

  /**
   * @param pipeline options
   * @return them, with the request's in their place
   */
  public SearchOptions over(SearchOptions pipeline) {
    return new SearchOptions(
        Boolean.FALSE.equals(values.get(ENABLED))
            ? Mode.OFF
            : text(MODE).flatMap(Mode::of).orElse(pipeline.mode()),
        whole(WholeOption.BUDGET_MS, pipeline.budgetMs()),
        whole(WholeOption.WINDOW_SIZE, pipeline.windowSize()),
        whole(WholeOption.MAX_REWRITES, pipeline.maxRewrites()),
        text(REGION).orElse(pipeline.region()),
        pipeline.tenant(),
        text(FUSION).flatMap(FusionStrategy::of).or(pipeline::fusion),
        policy()
            .map(PolicyReader::read)
            .map(policy -> new PolicyInForce(policy, PolicyDecision.Source.REQUEST))
            .or(pipeline::policy),
        object(REWRITE_QUERY).map(RewriteTemplate::new).or(pipeline::rewriteQuery));
  }

  /**
   * @return the policy document as sent
   */
  public Optional<Map<String, Object>> policy() {
    return object(POLICY);
  }

  /**
   * @return page token as sent
   */
  public Optional<String> pageToken() {
    return text(PAGE_TOKEN);
  }

  /**
   * @return the user's text, or null
   */
  public String query() {
    return text(QUERY).orElse(null);
  }

  /**
   * @return when the search says that it happened, if it does
   */
  public Optional<Instant> eventTime() {
    return Optional.ofNullable((Long) values.get(EVENT_TIME)).map(EventTime::ofMillis);
  }

  private static List<String> keys(boolean takesEventTime) {
    List<String> keys = new ArrayList<>(KEYS);
    if (takesEventTime) {
      keys.add(EVENT_TIME);
    }
    return keys;
  }

  private Optional<String> text(String key) {
    return Optional.ofNullable((String) values.get(key));
  }

  @SuppressWarnings("unchecked") // the keys of a JSON object
  private Optional<Map<String, Object>> object(String key) {
    return Optional.ofNullable((Map<String, Object>) values.get(key));
  }

  private int whole(WholeOption option, int pipeline) {
    return values.get(option.key()) instanceof Integer value ? value : pipeline;
  }

  private static Object value(String key, XContentParser.Token token, XContentParser parser)
      throws IOException {
    for (WholeOption option : WHOLE) {
      if (option.key().equals(key)) {
        return wholeValue(option, token, parser);
      }
    }
    if (key.equals(EVENT_TIME)) {
      return eventMillis(token, parser);
    }
    if (key.equals(ENABLED)) {
      if (token != XContentParser.Token.VALUE_BOOLEAN) {
        throw wrong(key, parser, "must be true or false");
      }
      return parser.booleanValue();
    }
    if (key.equals(POLICY) || key.equals(REWRITE_QUERY)) {
      return objectValue(key, token, parser);
    }
    if (token != XContentParser.Token.VALUE_STRING) {
      throw wrong(key, parser, "must be a string");
    }
    String text = parser.text();
    if (key.equals(MODE) && Mode.of(text).isEmpty()) {
      throw wrong(key, parser, "must be one of " + Mode.names());
    }
    if (key.equals(FUSION) && FusionStrategy.of(text).isEmpty()) {
      throw wrong(key, parser, "must be one of " + FusionStrategy.names());
    }
    return text;
  }

  private static Map<String, Object> objectValue(
      String key, XContentParser.Token token, XContentParser parser) throws IOException {
    if (token != XContentParser.Token.START_OBJECT) {
      throw wrong(key, parser, "must be an object");
    }
    Map<String, Object> object = parser.mapOrdered();
    try (XContentBuilder json = JsonXContent.contentBuilder().map(object)) {
      if (BytesReference.bytes(json).length() > MAX_OBJECT_BYTES) {
        throw wrong(key, parser, "must be at most " + MAX_OBJECT_BYTES + " bytes of JSON");
      }
    }
    try {
      if (key.equals(POLICY)) {
        PolicyReader.read(object);
      } else {
        RewriteTemplate.of(object, parser.getXContentRegistry());
      }
    } catch (IllegalArgumentException e) {
      throw wrong(key, parser, e.getMessage());
    }
    return object;
  }

  private static Integer wholeValue(
      WholeOption option, XContentParser.Token token, XContentParser parser) throws IOException {
    if (token != XContentParser.Token.VALUE_NUMBER
        || parser.numberType() != XContentParser.NumberType.INT) {
      throw wrong(option.key(), parser, "must be a whole number");
    }
    int value = parser.intValue();
    Optional<String> violation = option.violation(value);
    if (violation.isPresent()) {
      throw wrong(option.key(), parser, violation.get());
    }
    return value;
  }

  private static Long eventMillis(XContentParser.Token token, XContentParser parser)
      throws IOException {
    try {
      Instant time =
          switch (token) {
            case VALUE_STRING -> EventTime.parse(parser.text());
            case VALUE_NUMBER -> EventTime.ofMillis(wholeNumber(parser));
            default -> throw new IllegalArgumentException(EventTime.EXPECTED);
          };
      return time.toEpochMilli();
    } catch (IllegalArgumentException e) {
      throw wrong(EVENT_TIME, parser, EventTime.EXPECTED);
    }
  }

  private static long wholeNumber(XContentParser parser) throws IOException {
    return switch (parser.numberType()) {
      case INT, LONG -> parser.longValue();
      default -> throw new IllegalArgumentException(EventTime.EXPECTED);
    };
  }

  private static ParsingException wrong(String key, XContentParser parser, String what) {
    return new ParsingException(parser.getTokenLocation(), "[ext.iterqr." + key + "] " + what);
  }

  @Override
  public String getWriteableName() {
    return IterqrExt.NAME;
  }

  @Override
  public void writeTo(StreamOutput out) throws IOException {
    out.writeByte(IterqrExt.REQUEST);
    out.writeMap(values);
  }

  @Override
  public XContentBuilder toXContent(XContentBuilder builder, Params params) throws IOException {
    return builder.field(IterqrExt.NAME, values);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof RequestExt ext && values.equals(ext.values);
  }

  @Override
  public int hashCode() {
    return values.hashCode();
  }
}
