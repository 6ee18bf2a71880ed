package org.iterqr.opensearch.fusion;

/**
 * One entry of a window.
 *
 * @param key the document
 * @param score its score in the window's search
 */
public record WindowHit(HitKey key, float score) {}
