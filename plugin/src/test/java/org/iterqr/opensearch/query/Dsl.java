package org.iterqr.opensearch.query;

import java.util.Map;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.common.xcontent.json.JsonXContent;

/** Reads queries written as JSON, with single quotes for readability. */
final class Dsl {
  private Dsl() {}

  static Map<String, Object> query(String json) {
    return XContentHelper.convertToMap(JsonXContent.jsonXContent, json.replace('\'', '"'), true);
  }
}
