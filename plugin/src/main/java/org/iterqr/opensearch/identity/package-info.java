/** Who searches: the ids that tie a search to its clicks. */
package org.iterqr.opensearch.identity;
