/**
 * The rewrite server as the plugin sees it: calls, connection, and the checking of what comes back.
 */
package org.iterqr.opensearch.client;
