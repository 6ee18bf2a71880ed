package org.iterqr.opensearch.client;

/**
 * One rewrite of the user's text, from the server or from a page token. Its text is data.
 *
 * @param id 16 lower-case hexadecimal digits, stable for checkpoint, query and text
 * @param text 1 to {@link RewriteLimits#TEXT_CHARACTERS} characters, no control characters
 * @param confidence 0 to 1, not calibrated
 */
public record Rewrite(String id, String text, double confidence) {}
