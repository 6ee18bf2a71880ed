/**
 * The OpenSearch plugin: a search pipeline's {@code query_rewrite} request processor starts the
 * rewriting of the user's text, the {@code rewrite_channel} response processor fuses what the
 * rewrites retrieved with what the original retrieved, and tags every hit.
 *
 * <p>The path of one search: {@link org.iterqr.opensearch.processor.QueryRewriteProcessor} starts a
 * {@link org.iterqr.opensearch.search.ChannelRun}; {@link
 * org.iterqr.opensearch.search.SearchLifeListener} hands it the request as it is after all request
 * processors; when {@link org.iterqr.opensearch.client.RewriteClient} has the rewrites too, {@link
 * org.iterqr.opensearch.search.WindowSearch} searches the bare windows; {@link
 * org.iterqr.opensearch.processor.RewriteChannelProcessor} waits at most what is left of the
 * budget, fuses ({@link org.iterqr.opensearch.fusion.Fusion}), fetches the page's missing hits
 * ({@link org.iterqr.opensearch.search.HitFetch}) and tags. Any fault gives the plain response.
 */
package org.iterqr.opensearch;
