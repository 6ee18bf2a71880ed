/**
 * What was searched for: which searches are served, where the user's text stands, what replaces it.
 */
package org.iterqr.opensearch.query;
